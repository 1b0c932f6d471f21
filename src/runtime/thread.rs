//! A task with a thread of its own.
//!
//! Writer and engine answer to everybody: every statement of a commit is a wake-up, and on the shared threads each one
//! waited for a worker to finish decoding some message. Measured with 100 alerts a message on two cores, nine tenths of
//! a commit were such waits. Must not be used for work that comes in numbers.

use std::thread::Builder;

use tokio::sync::oneshot;

use crate::runtime::supervise::TaskError;

/// Runs a task to its end on a new thread; the future returned is its shadow on the shared ones.
///
/// Dropping the shadow does not stop the task: it is told to stop like any other.
///
/// # Errors
/// What the task returns, or that no thread could be made, or that it panicked.
pub async fn on_own_thread<F, E>(name: &'static str, task: F) -> Result<(), TaskError>
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<TaskError> + Send + 'static,
{
    let (ended, end) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Builder::new().name(name.to_owned()).spawn(move || {
        // Whoever waited has been cut off; there is nobody left to tell.
        drop(ended.send(runtime.block_on(task)));
    })?;
    match end.await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(format!("the thread of {name} panicked").into()),
    }
}

/// Does work on a thread that can gain no privileges, and so can nothing that it starts: `sudo` and the like fail there.
///
/// Linux keeps that mark by thread and hands it down to children; it cannot be taken off, so the thread ends with the work.
///
/// # Errors
/// There is no thread to be had, or the mark is refused.
pub async fn without_new_privileges<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<T> {
    let runtime = tokio::runtime::Handle::current();
    let (done, end) = oneshot::channel();
    Builder::new().name("start".to_owned()).spawn(move || {
        let _inside = runtime.enter();
        let marked = rustix::thread::set_no_new_privs(true);
        // Whoever waited may have lost the interest.
        drop(done.send(marked.map(|()| work())));
    })?;
    let done = end.await.map_err(std::io::Error::other)?;
    Ok(done?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_started_without_new_privileges_says_so_and_we_keep_ours() {
        let marked = || rustix::thread::no_new_privs().unwrap();
        let before = marked();
        let cat = || {
            std::process::Command::new("cat")
                .arg("/proc/self/status")
                .output()
        };
        let said = without_new_privileges(cat).await.unwrap().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(said.contains("NoNewPrivs:\t1"), "{said}");
        assert_eq!(marked(), before);
    }

    #[tokio::test]
    async fn end_error_and_panic_are_told() {
        let fine = on_own_thread("fine", async { Ok::<(), TaskError>(()) });
        assert!(fine.await.is_ok());
        let failed = on_own_thread("failed", async { Err::<(), TaskError>("no".into()) });
        assert_eq!(failed.await.unwrap_err().to_string(), "no");
        let panicked = on_own_thread("panicked", async {
            assert_eq!(std::thread::current().name(), Some("panicked"));
            panic!("as meant");
            #[expect(unreachable_code, reason = "gives the block its type")]
            Ok::<(), TaskError>(())
        });
        let told = panicked.await.unwrap_err().to_string();
        assert!(told.contains("panicked"), "{told}");
    }
}
