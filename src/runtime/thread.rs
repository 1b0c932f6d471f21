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

#[cfg(test)]
mod tests {
    use super::*;

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
