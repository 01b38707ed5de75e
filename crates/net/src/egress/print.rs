//! The inventory for people, for programs, and for `docs/NETWORK.md`.
//!
//! Takes rows, gives text. Never: a row left out because it is off.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Component, Contact, Inventory, Place, Switch};

impl Inventory {
    /// One JSON object: `component`, `contacts`.
    pub fn json(&self) -> Value {
        let contacts: Vec<Value> = self.contacts.iter().map(one).collect();
        json!({ "component": self.component.program(), "contacts": contacts })
    }

    /// Columns; what is off stands below.
    pub fn text(&self) -> String {
        let on = |contact: &&Contact| matches!(contact.switch, Switch::On(_));
        let (on, off): (Vec<&Contact>, Vec<&Contact>) = self.contacts.iter().partition(on);
        let head = ["FROM", "TO", "PORT", "PROTOCOL", "THROUGH", "FOR", "SET BY"];
        let mut lines = vec![head.map(str::to_owned)];
        lines.extend(on.iter().map(|contact| self.line(contact)));
        let mut text = columns(&lines);
        if !off.is_empty() {
            text.push_str("\nOff, and what switches it on:\n\n");
            let off: Vec<_> = off.iter().map(|contact| self.line(contact)).collect();
            text.push_str(&columns(&off));
        }
        text
    }

    fn line(&self, contact: &Contact) -> [String; 7] {
        let (to, port) = match &contact.place {
            Place::Host { host, port } => (host.clone(), port.to_string()),
            Place::Pattern { pattern, port } => (pattern.clone(), port.to_string()),
            Place::Class { class } => (format!("({class})"), "-".to_owned()),
        };
        let via = contact.via.as_ref();
        let via = via.map_or_else(
            || "-".to_owned(),
            |hop| format!("{}:{}", hop.host, hop.port),
        );
        let (Switch::On(setting) | Switch::Off(setting)) = &contact.switch;
        let row = contact.purpose.row();
        [
            row.who.shown(self.component).to_owned(),
            to,
            port,
            contact.protocol.shown().to_owned(),
            via,
            row.name.replace('_', " "),
            setting.clone(),
        ]
    }
}

fn one(contact: &Contact) -> Value {
    let row = contact.purpose.row();
    let (enabled, setting) = match &contact.switch {
        Switch::On(setting) => (true, setting),
        Switch::Off(setting) => (false, setting),
    };
    json!({
        "purpose": row.name,
        "who": row.who,
        "place": contact.place,
        "protocol": contact.protocol,
        "via": contact.via,
        "enabled": enabled,
        "setting": setting,
        "meaning": row.meaning,
    })
}

fn columns<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |column: usize| {
        let all = lines.iter().map(|line| line[column].chars().count());
        all.max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for line in lines {
        let mut shown = String::new();
        for (cell, width) in line.iter().zip(widths) {
            let _ = write!(shown, "{cell:width$}  ");
        }
        text.push_str(shown.trim_end());
        text.push('\n');
    }
    text
}

/// The table of `docs/NETWORK.md`: every purpose of every component.
pub fn page() -> String {
    let mut page = String::new();
    for component in Component::ALL {
        let _ = write!(
            page,
            "\n### `{}`\n\n| who dials | to | ports | protocol | for | set by |\n|---|---|---|---|---|---|\n",
            component.program()
        );
        for purpose in component.purposes() {
            let row = purpose.row();
            let setting = match row.setting.contains(' ') {
                true => row.setting.to_owned(),
                false => format!("`{}`", row.setting),
            };
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} | {} | {setting} |",
                row.who.shown(*component),
                row.to,
                row.ports,
                row.protocol.shown(),
                row.meaning,
            );
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::super::{Hop, LauncherPurpose, ServerPurpose};
    use super::*;

    #[test]
    fn the_table_in_the_repository_is_this_one() {
        let kept = include_str!("../../../../docs/NETWORK.md");
        assert!(
            kept.contains(&page()),
            "docs/NETWORK.md is not what the code says; its tables are what `gantry-launcher egress --output markdown` prints"
        );
    }

    #[test]
    fn names_are_said_once_in_each_component() {
        for component in Component::ALL {
            let mut names: Vec<_> = component
                .purposes()
                .iter()
                .map(|one| one.row().name)
                .collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{}", component.program());
        }
    }

    #[test]
    fn both_forms_tell_the_same() {
        let mut server = Contact::new(
            LauncherPurpose::Server,
            Place::host("gantry.example", 443),
            "SPACELIFT_TOKEN",
        );
        server.via = Some(Hop {
            host: "proxy.example".into(),
            port: 3128,
        });
        let collector = Place::Class {
            class: "a collector",
        };
        let inventory = Inventory::new(
            Component::Launcher,
            vec![Contact::off(LauncherPurpose::Traces, collector), server],
        );
        assert_eq!(
            inventory.text(),
            "FROM             TO              PORT  PROTOCOL  THROUGH             FOR     SET BY\n\
             gantry-launcher  gantry.example  443   HTTPS     proxy.example:3128  server  SPACELIFT_TOKEN\n\
             \n\
             Off, and what switches it on:\n\
             \n\
             gantry-launcher  (a collector)  -  HTTPS  -  traces  OTEL_EXPORTER_OTLP_ENDPOINT\n"
        );
        let json = inventory.json();
        assert_eq!(json["contacts"][0]["place"]["port"], 443);
        assert_eq!(json["contacts"][0]["via"]["host"], "proxy.example");
        assert_eq!(json["contacts"][1]["enabled"], false);
        assert_eq!(json["contacts"][1]["place"]["class"], "a collector");
    }

    #[test]
    fn contacts_come_in_the_order_of_the_table() {
        let contact = |purpose| Contact::new(purpose, Place::host("h", 1), "x");
        let mixed = [
            ServerPurpose::Git,
            ServerPurpose::NameServers,
            ServerPurpose::Git,
        ]
        .map(contact);
        let inventory = Inventory::new(Component::Server, mixed.to_vec());
        let names: Vec<_> = inventory
            .contacts
            .iter()
            .map(|one| one.purpose.row().name)
            .collect();
        assert_eq!(names, ["name_servers", "git"]);
    }
}
