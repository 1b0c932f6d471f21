//! `[[cmdb.import]]`: what it means, and what is said about bad ones.

use std::collections::BTreeSet;

use watchbell::config::imports::ImportKind;
use watchbell::core::time::Span;
use watchbell::importers::IMPORTERS;

use super::messages::bad;
use super::{Folder, good};

#[test]
fn an_import_is_read_with_its_defaults() {
    let settings = good(
        "[[cmdb.import]]\nname = \"netbox\"\nkind = \"netbox\"\nurl = \"https://netbox.example/\"\ntoken = \"abc\"\n\
         skip = [\"dcim.powerfeed\"]\n\
         [[cmdb.import]]\nname = \"snow\"\nkind = \"servicenow\"\nurl = \"https://x.example\"\nuser = \"u\"\npassword = \"p\"\n\
         every = \"1h\"\ntables = [\"cmdb_ci_server\"]\nstrict = true\n",
    );
    let [netbox, snow] = &settings.imports[..] else {
        panic!("{:?}", settings.imports);
    };
    assert_eq!(
        (netbox.kind, netbox.url.as_deref()),
        (ImportKind::NetBox, Some("https://netbox.example"))
    );
    assert_eq!(
        (netbox.every, netbox.allow_private),
        (Span::from_mins(15), true)
    );
    assert_eq!(netbox.options.skip, ["dcim.powerfeed"]);
    assert_eq!(snow.basic.as_ref().unwrap().user, "u");
    assert_eq!((snow.every, snow.is_strict), (Span::from_hours(1), true));
    assert_eq!(snow.options.tables, ["cmdb_ci_server"]);
}

#[test]
fn files_stand_beside_the_configuration() {
    let text = "[[cmdb.import]]\nname = \"a\"\nkind = \"ansible\"\nfiles = [\"hosts.ini\", \"/etc/ansible/hosts\"]\n";
    let folder = Folder::with(&[("etc/w.toml", text)]);
    let settings = folder.load().unwrap();
    let wanted = [
        folder.dir.path().join("etc/hosts.ini"),
        "/etc/ansible/hosts".into(),
    ];
    assert_eq!(settings.imports[0].files, wanted);
}

#[test]
fn bad_imports_get_a_hint_each() {
    bad(
        "[[cmdb.import]]\nname = \"a b\"\nkind = \"netbx\"\nfile = \"x\"\n\
         [[cmdb.import]]\nname = \"c\"\nkind = \"csv\"\n\
         [[cmdb.import]]\nname = \"c\"\nkind = \"csv\"\nurl = \"https://x.example\"\nfile = \"x\"\n\
         [[cmdb.import]]\nname = \"d\"\nkind = \"glpi\"\nurl = \"http://x.example\"\ntoken = \"t\"\nallow_private = false\ntables = [\"x\"]\n\
         [[cmdb.import]]\nname = \"e\"\nkind = \"servicenow\"\nurl = \"https://x.example\"\nuser = \"u\"\n",
        r#"
w.toml:2:8: cmdb.import[0].name: "a b" is not a name of an import
    hint: write letters, digits, and _ . -, at most 64 in all
w.toml:3:8: cmdb.import[0].kind: "netbx" is not known here
    hint: did you mean "netbox"?
w.toml:5:1: cmdb.import[1]: it is not said where the import comes from
    hint: write url = "https://...", or file = "path"
w.toml:9:8: cmdb.import[2].name: the name "c" is used at w.toml:5 already
    hint: every import needs a name of its own
w.toml:11:7: cmdb.import[2].url: an import has either url or files
    hint: remove one of the two
w.toml:16:7: cmdb.import[3].url: the secret would cross the network in clear text
    hint: use https, or remove allow_private = false if the server stands in your own network
w.toml:19:10: cmdb.import[3].tables: only imports of kind "servicenow" have this
    hint: remove it
w.toml:20:1: cmdb.import[4]: servicenow answers nobody without a login
    hint: write token, or user and password
w.toml:24:8: cmdb.import[4].user: `password` is required beside `user`
"#,
    );
}

/// A format that cannot be configured, or a kind that nothing reads.
#[test]
fn every_kind_is_a_format_and_every_format_a_kind() {
    let kinds: BTreeSet<_> = ImportKind::words().collect();
    let formats: BTreeSet<_> = IMPORTERS.iter().map(|format| format.name()).collect();
    assert_eq!(kinds, formats);
}
