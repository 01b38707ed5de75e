//! `--debug-print-all`: requests and responses with their headers, for people who look for a fault.
//!
//! Takes heads, gives lines of the audit output. Never: a body, a credential, the value of a query parameter.

use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};

use super::{Audit, keys, redact};

impl Audit {
    /// A request as it goes to the host, or a response as it came from it.
    ///
    /// `what` is the method and path, or the status.
    pub fn dump(&self, id: &str, what: &str, headers: &HeaderMap) {
        if !self.shared.dump {
            return;
        }
        let (what, query) = what.split_once('?').unwrap_or((what, ""));
        let line = json!({
            "headers": shown(headers),
            "id": id,
            "level": "debug",
            "msg": what,
            "query_keys": keys(query),
        });
        self.write(line.to_string().into_bytes());
    }
}

fn shown(headers: &HeaderMap) -> Value {
    let mut all = Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter();
        let texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let texts = texts.map(|text| Value::from(redact::header(name.as_str(), &text)));
        all.insert(name.as_str().to_owned(), texts.collect());
    }
    Value::Object(all)
}
