//! Where a platform stands, by the address that an operator gave: its documents show it with and without the path of the
//! API, and so do people.
//!
//! Must not guess beyond a path that the profile asks itself.

use url::Url;

/// The address without what the paths of requests start with anyway.
pub(super) fn site(mut given: Url, path: &str, root: &str) -> Url {
    let path = path.replace("{{ set.root }}", root);
    let fixed = path.split("{{").next().unwrap_or_default();
    let fixed = fixed.trim_end_matches('/');
    let ends = fixed.match_indices('/').map(|(at, _)| at).skip(1);
    let mut ends: Vec<usize> = ends.chain([fixed.len()]).collect();
    ends.reverse();
    let own = given.path().trim_end_matches('/').to_owned();
    let heads = ends.into_iter().filter_map(|end| fixed.get(..end));
    let mut heads = heads.filter(|head| head.starts_with('/'));
    if let Some(rest) = heads.find_map(|head| own.strip_suffix(head)) {
        given.set_path(rest);
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &str, path: &str, root: &str, expected: &str) {
        let site = site(Url::parse(given).unwrap(), path, root);
        assert_eq!(site.as_str(), expected, "{given}");
    }

    #[test]
    fn path_of_the_api_may_be_given_or_not() {
        let jira = "/rest/api/2/issue/{{ id }}";
        check("https://x.example", jira, "", "https://x.example/");
        for more in ["/rest", "/rest/api/2", "/rest/api/2/", "/rest/api/2/issue"] {
            check(
                &format!("https://x.example{more}"),
                jira,
                "",
                "https://x.example/",
            );
        }
        check(
            "https://x.example/jira/rest/api/2",
            jira,
            "",
            "https://x.example/jira",
        );
        let glpi = "{{ set.root }}/Ticket";
        let root = "/apirest.php";
        check(
            "https://x.example/glpi",
            glpi,
            root,
            "https://x.example/glpi",
        );
        check(
            "https://x.example/glpi/apirest.php/",
            glpi,
            root,
            "https://x.example/glpi",
        );
        check("https://x.example/v2", "/v2", "", "https://x.example/");
        check("https://v2/", "/v2", "", "https://v2/");
    }
}
