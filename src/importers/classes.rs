//! Class words of products in the words that the rest of the program knows.
//!
//! Only what would mislead is translated: the class `service` is a business service here, and software services of
//! products are not. Must not look at names of items.

/// Turns a class of ServiceNow's tables, like `cmdb_ci_linux_server`, into ours.
pub fn of_table(table: &str) -> String {
    let table = table.to_ascii_lowercase().replace([' ', '-'], "_");
    let bare = table.strip_prefix("cmdb_ci_").unwrap_or(&table);
    let class = match bare {
        "service" | "service_auto" | "service_business" | "service_discovered"
        | "service_manual" | "service_technical" | "business_service" | "service_by_tags" => {
            "service"
        }
        "vm_instance" | "vmware_instance" | "vm_object" | "virtual_machine_instance" => "vm",
        "esx_server" | "hyper_v_server" | "vmware_vcenter" => "hypervisor",
        "business_app" | "appl" | "business_application" | "application" => "application",
        "cmdb_ci" | "" => "ci",
        "ip_switch" | "switch" => "switch",
        "ip_router" | "router" => "router",
        "ip_firewall" | "firewall" => "firewall",
        "pdu" => "pdu",
        "msd" | "storage_server" | "storage_device" => "storage",
        _ if bare.starts_with("db_") || bare.starts_with("database") => "database",
        _ if bare.starts_with("app_server") || bare.starts_with("appl_") => "application",
        _ if bare.starts_with("lb_") || bare == "lb" => "load-balancer",
        _ if bare.ends_with("_server") || bare == "server" => "server",
        _ if bare.contains("cluster") => "cluster",
        _ => return bare.replace('_', "-"),
    };
    class.to_owned()
}

/// Turns a class of iTop, like `VirtualMachine`, into ours.
pub fn of_itop(class: &str) -> String {
    let ours = match class {
        "VirtualMachine" => "vm",
        "Server" => "server",
        "Hypervisor" => "hypervisor",
        "Farm" => "cluster",
        "BusinessProcess" => "service",
        "ApplicationSolution"
        | "WebApplication"
        | "OtherSoftware"
        | "WebServer"
        | "Middleware"
        | "MiddlewareInstance"
        | "PCSoftware" => "application",
        "DBServer" | "DatabaseSchema" => "database",
        "NetworkDevice" => "network-device",
        "StorageSystem" | "NAS" | "SANSwitch" | "LogicalVolume" | "TapeLibrary" => "storage",
        "PowerSource" => "power-feed",
        _ => return kebab(class),
    };
    ours.to_owned()
}

/// `NetworkEquipment` as `network-equipment`.
pub fn kebab(class: &str) -> String {
    let mut out = String::with_capacity(class.len().saturating_add(4));
    let mut was_lower = false;
    for c in class.chars() {
        if c.is_uppercase() && was_lower {
            out.push('-');
        }
        was_lower = c.is_lowercase() || c.is_ascii_digit();
        if c == '_' || c == ' ' {
            out.push('-');
        } else {
            out.extend(c.to_lowercase());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn business_services_are_told_from_software() {
        let cases = [
            ("cmdb_ci_service", "service"),
            ("Linux Server", "server"),
            ("cmdb_ci_linux_server", "server"),
            ("cmdb_ci_db_mysql_instance", "database"),
            ("cmdb_ci_netgear", "netgear"),
            ("cmdb_ci_ip_switch", "switch"),
            ("cmdb_ci", "ci"),
        ];
        for (table, class) in cases {
            assert_eq!(of_table(table), class, "{table}");
        }
        assert_eq!(of_itop("BusinessProcess"), "service");
        assert_eq!(kebab("NetworkEquipment"), "network-equipment");
        assert_eq!(kebab("PDU"), "pdu");
    }
}
