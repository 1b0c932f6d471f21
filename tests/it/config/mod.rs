//! Configuration files as an operator writes them: what they mean; what is said about bad ones is in `messages`.

mod imports;
mod mappings;
mod messages;

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use watchbell::config::settings::ReconcileAuth;
use watchbell::config::{ConfigErrors, Env, LoadRequest, Secret, Settings, load};
use watchbell::core::time::Span;

/// A folder with files in it; the first one is the main file.
struct Folder {
    dir: TempDir,
    main: PathBuf,
}

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().expect("folder");
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            fs::write(path, text).expect("file");
        }
        let main = dir.path().join(files[0].0);
        Self { dir, main }
    }

    fn load_with(&self, env: Env) -> Result<Settings, ConfigErrors> {
        load(&LoadRequest::new(Some(self.main.clone()), env))
    }

    fn load(&self) -> Result<Settings, ConfigErrors> {
        self.load_with(Env::fixed([]))
    }

    /// The errors as printed, with the folder left out.
    fn errors(&self, env: Env) -> String {
        let errors = self.load_with(env).expect_err("the configuration is bad");
        errors
            .to_string()
            .replace(&format!("{}/", self.dir.path().display()), "")
    }
}

fn good(text: &str) -> Settings {
    match Folder::with(&[("w.toml", text)]).load() {
        Ok(settings) => settings,
        Err(errors) => panic!("{errors}"),
    }
}

#[test]
fn secrets_come_from_text_file_variable_and_credential() {
    let folder = Folder::with(&[
        (
            "etc/w.toml",
            "include = [\"../more.toml\"]\n\
             [[source]]\nname = \"inline\"\nkind = \"alertmanager\"\ntoken = \"from the text\"\n\
             [[source]]\nname = \"file\"\nkind = \"alertmanager\"\ntoken = { file = \"token\" }\n\
             [[source]]\nname = \"env\"\nkind = \"alertmanager\"\n\
             basic = { user = \"u\", password = { env = \"PW\" } }\n",
        ),
        ("etc/token", "from the file\r\n"),
        ("token", "beside the include\n"),
        (
            "more.toml",
            "[[source]]\nname = \"credential\"\nkind = \"alertmanager\"\ntoken = { file = \"token\" }\n\
             header = { name = \"X-Token\", value = { credential = \"am\" } }\n\
             reconcile = { url = \"https://am/\", basic = { user = \"u\", password = \"p\" } }\n",
        ),
        ("cred/am", "from systemd"),
    ]);
    let credentials = folder.dir.path().join("cred");
    let env = Env::fixed([
        ("PW", "from the variable"),
        (
            "CREDENTIALS_DIRECTORY",
            credentials.to_str().expect("UTF-8"),
        ),
    ]);
    let settings = folder.load_with(env).expect("good");
    let [inline, file, variable, credential] = settings.sources.as_slice() else {
        panic!("four sources");
    };
    let shown = |secret: &Option<Secret>| secret.as_ref().map(|s| s.expose().to_owned());
    assert_eq!(shown(&inline.token).as_deref(), Some("from the text"));
    assert_eq!(shown(&file.token).as_deref(), Some("from the file"));
    assert_eq!(
        shown(&credential.token).as_deref(),
        Some("beside the include")
    );
    let basic = variable.basic.as_ref().expect("basic");
    assert_eq!(basic.password.expose(), "from the variable");
    let header = credential.header.as_ref().expect("header");
    assert_eq!(
        (header.name.as_str(), header.value.expose()),
        ("x-token", "from systemd")
    );
    let reconcile = credential.reconcile.as_ref().expect("reconcile");
    assert_eq!(
        (reconcile.url.as_str(), reconcile.every),
        ("https://am", Span::from_mins(1))
    );
    assert!(matches!(&reconcile.auth, Some(ReconcileAuth::Basic(b)) if b.password.expose() == "p"));
    let printed = format!("{settings:?}");
    assert!(
        !printed.contains("from the") && !printed.contains("from systemd"),
        "{printed}"
    );
}

#[test]
fn includes_add_sources_and_win_key_by_key_in_the_order_of_names() {
    let source = |name: &str| format!("[[source]]\nname = \"{name}\"\nkind = \"alertmanager\"\n");
    let folder = Folder::with(&[
        (
            "w.toml",
            &format!(
                "include = [\"conf.d/*.toml\"]\n[log]\nlevel = \"warn\"\n{}",
                source("a")
            ),
        ),
        (
            "conf.d/20.toml",
            &format!("[log]\nlevel = \"error\"\n{}", source("c")),
        ),
        (
            "conf.d/10.toml",
            &format!(
                "[log]\nlevel = \"debug\"\nformat = \"json\"\n{}",
                source("b")
            ),
        ),
        ("conf.d/30.toml.off", "not read"),
    ]);
    let settings = folder.load().expect("good");
    let names: Vec<&str> = settings
        .sources
        .iter()
        .map(|source| source.name.as_str())
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(settings.log.level, "error");
    assert_eq!(settings.files.len(), 3);
    let beside = Folder::with(&[
        ("w.toml", "include = [\"*.toml\", \"./a.toml\"]\n"),
        ("a.toml", &source("mine")),
        (".#a.toml", "an editor's lock"),
    ]);
    let settings = beside.load().expect("each file once, hidden ones never");
    assert_eq!(settings.files.len(), 2);
    let only_include = Folder::with(&[
        ("w.toml", "include = [\"conf.d/*.toml\"]\n"),
        ("conf.d/a.toml", &source("mine")),
    ]);
    let settings = only_include.load().expect("good");
    assert_eq!(
        settings.sources.len(),
        1,
        "a list in any file replaces the built-in one"
    );
    assert_eq!(settings.sources[0].name, "mine");
}

#[test]
fn the_file_asked_for_must_exist_and_the_usual_ones_need_not() {
    let folder = Folder::with(&[("w.toml", "[log]\nlevel = \"warn\"\n")]);
    let missing = folder.dir.path().join("none.toml");
    let env = Env::fixed([]);
    let asked = LoadRequest::new(Some(missing.clone()), env.clone());
    let printed = load(&asked).expect_err("missing").to_string();
    assert!(printed.ends_with(
        "none.toml: cannot read this file: it does not exist\n    \
         hint: check the path and who may read it"
    ));
    let search = LoadRequest {
        file: None,
        search: vec![missing, folder.main.clone()],
        env,
        is_demo: false,
    };
    let settings = load(&search).expect("good");
    assert_eq!(
        (settings.log.level.as_str(), settings.files),
        ("warn", vec![folder.main])
    );
}

#[test]
fn a_reload_tells_what_only_a_restart_applies() {
    let old = good("");
    let new = good(
        "[server]\nlisten = \"127.0.0.1:9\"\nbody_max = \"1MiB\"\n[store]\nurl = \"sqlite:x.db\"\n\
         [incident]\nrecover_after = \"1s\"\n",
    );
    assert_eq!(old.needs_restart(&new), ["server.listen", "store.url"]);
    assert!(
        old.needs_restart(&good("[incident]\nrecover_after = \"1s\"\n"))
            .is_empty()
    );
    let (mut again, mut old) = (good(""), old);
    (again.files, old.files) = (Vec::new(), Vec::new());
    assert_eq!(again, old, "two loads of one file are equal");
}

#[test]
fn a_reload_must_not_open_a_source_to_those_whom_the_old_listener_lets_in() {
    let guarded = "[[source]]\nname = \"a\"\nkind = \"alertmanager\"\ntoken = \"long enough\"\n";
    let everywhere = "[server]\nlisten = \"0.0.0.0:8080\"\n[auth]\nrequired = true\n";
    let running = good(&format!("{everywhere}{guarded}"));
    let sockets = [running.server.listen[0]];
    let same = good(guarded);
    assert_eq!(
        same.refusal_to_apply(&running, &sockets),
        None,
        "the token requirement also stays until the restart"
    );
    let open = good("");
    let refusal = open
        .refusal_to_apply(&running, &sockets)
        .unwrap_or_default();
    assert!(
        refusal.contains("source \"alertmanager\" has no token"),
        "{refusal}"
    );
    let local = ["127.0.0.1:8080".parse().expect("address")];
    assert_eq!(open.refusal_to_apply(&running, &local), None);
}
