//! A hint for a name that is not there.
//!
//! Must not print.

/// Names of a list that are told; of more only the number is.
const NAMES_MAX: usize = 12;

/// The name that was probably meant, else what there is.
pub fn hint(wanted: &str, names: &[&str], there_is: &str) -> String {
    let near = names
        .iter()
        .map(|name| (strsim::damerau_levenshtein(name, wanted), name))
        .filter(|(distance, name)| *distance <= 2.max(name.len() / 4))
        .min();
    match near {
        Some((_, name)) => format!("did you mean {name}?"),
        None if names.is_empty() => format!("{there_is} none"),
        None if names.len() > NAMES_MAX => format!("{there_is} {} of them", names.len()),
        None => format!("{there_is} {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn the_nearest_name_is_told_or_all_of_them() {
        let names = ["grid", "grip", "alertmanager"];
        assert_eq!(hint("gird", &names, "it has"), "did you mean grid?");
        assert_eq!(
            hint("alertmanagre1", &names, "it has"),
            "did you mean alertmanager?"
        );
        assert_eq!(
            hint("zabbix", &names, "it has"),
            "it has grid, grip, alertmanager"
        );
        assert_eq!(hint("zabbix", &[], "it has"), "it has none");
    }
}
