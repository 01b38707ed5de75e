//! Behind others' proxies: a path in the public URL, links, and whose word about an address counts.

use gantry_protocol::Digest;
use gantry_protocol::control::session::{About, EnrolProof, EnrolRequest, Nonce};
use gantry_protocol::control::token::PoolToken;
use gantry_protocol::crypto::{EdKey, PoolKey, jws};
use gantry_protocol::version::{CONTROL, CONTROL_HEADER};
use gantry_server::process::start;
use reqwest::header::HeaderMap;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::EncodePrivateKey;
use serde_json::{Value, json};

use crate::world::{Client, World, arguments};

const CREATE: &str = "mutation($csr:String!){workerPoolCreate(name: \"dock\", certificateSigningRequest: $csr){id,config}}";
const RULE: &str = "mutation($id:ID!$from:[String!]!){workerPoolUpdate(id: $id, enrolment: {addresses: $from}){id}}";

/// What somebody may write who wants to be taken for another, or links to lead to him.
const LIES: [(&str, &str); 4] = [
    ("forwarded", "for=198.51.100.7;host=evil.example;proto=http"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-proto", "http"),
    ("x-forwarded-prefix", "/evil"),
];

fn csr_of(key: &PoolKey) -> String {
    let key = rsa::RsaPrivateKey::from_pkcs1_pem(key.to_pem().expose()).unwrap();
    let pem = key.to_pkcs8_pem(rsa::pkcs8::LineEnding::LF).unwrap();
    let pair = rcgen::KeyPair::from_pem(&pem).unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&pair);
    request.unwrap().pem().unwrap()
}

/// Enrols a new launcher; `headers` stand in all its requests. Gives status and answer.
async fn enrols(world: &World, key: &PoolKey, pool: &Value, headers: &HeaderMap) -> (u16, String) {
    let base = &world.app().base_url;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = |path: &str| {
        let request = http.post(format!("{base}{path}")).headers(headers.clone());
        request.header(CONTROL_HEADER, CONTROL)
    };
    let answer = post("/v1/nonce").json(&()).send().await.unwrap();
    let Nonce { nonce, .. } = answer.json().await.unwrap();
    let proof = EnrolProof {
        nonce,
        audience: base.clone(),
        pool: pool["id"].as_str().unwrap().parse().unwrap(),
        launcher_key: EdKey::generate().public(),
        machine: Digest::of(b"machine"),
    };
    let request = EnrolRequest {
        proof: jws::sign_pool(&proof, key).unwrap(),
        about: About::default(),
    };
    let answer = post("/v1/enrol").json(&request).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

#[tokio::test]
async fn rules_of_enrolment_see_the_address_that_a_trusted_proxy_names() {
    let key = PoolKey::generate(2048).unwrap();
    let named = ("x-forwarded-for", "198.51.100.7");
    for (trusted, forwarded, joins) in [
        (&["--trusted-proxies", "127.0.0.1"][..], vec![named], true),
        // Nearest to the server is another than the one that the client wrote himself.
        (
            &["--trusted-proxies", "127.0.0.1"],
            vec![("x-forwarded-for", "198.51.100.7, 203.0.113.9")],
            false,
        ),
        (&["--trusted-proxies", "127.0.0.1"], LIES.to_vec(), false),
        // Nobody is trusted, or somebody else is.
        (&[], vec![named], false),
        (&["--trusted-proxies", "10.0.0.0/8"], vec![named], false),
    ] {
        let world = World::with(trusted).await;
        let made = world.admin.ok(CREATE, json!({ "csr": csr_of(&key) })).await;
        let pool = &made["workerPoolCreate"];
        let rule = json!({ "id": pool["id"], "from": ["198.51.100.0/24"] });
        world.admin.ok(RULE, rule).await;
        let (status, text) = enrols(&world, &key, pool, &headers(&forwarded)).await;
        assert_eq!(
            status == 200,
            joins,
            "{trusted:?} {forwarded:?}: {status} {text}"
        );
        let seen = forwarded
            .first()
            .is_some_and(|(_, value)| value.contains("203.0.113.9"));
        let named = if seen { "203.0.113.9" } else { "127.0.0.1" };
        assert!(joins || text.contains(named), "{text}");
    }
}

#[tokio::test]
async fn links_come_from_the_public_url_and_from_no_header() {
    gantry_net::install_crypto();
    let dir = tempfile::tempdir().unwrap();
    let mut args = arguments(dir.path(), &["--trusted-proxies", "127.0.0.1"]);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    args.listen = free.local_addr().unwrap();
    drop(free);
    let origin = format!("http://{}", args.listen);
    let base = format!("{origin}/tools/gantry");
    args.public_url = Some(format!("{base}/"));
    let world = World::of(dir, start(&args).await.unwrap()).await;
    assert_eq!(world.app().base_url, base);

    let lies: Vec<(&str, &[u8])> = LIES
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    let lies = [&lies[..], &[("host", &b"evil.example"[..])]].concat();
    let csr = json!({ "csr": crate::world::csr() });
    let made = world.admin.post_with(CREATE, csr, &lies).await;
    let config = made["data"]["workerPoolCreate"]["config"].as_str().unwrap();
    assert_eq!(PoolToken::decode(config).unwrap().broker.endpoint, base);
    let text = "mutation($input:VcsIntegrationInput!){vcsIntegrationCreate(input: $input){integration{webhookUrl}}}";
    let input = json!({ "input": { "name": "Host", "slug": "host", "vendor": "GITHUB",
        "urlPrefix": "https://github.example/" } });
    let made = world.admin.post_with(text, input, &lies).await;
    let webhook = &made["data"]["vcsIntegrationCreate"]["integration"]["webhookUrl"];
    assert_eq!(webhook, &json!(format!("{base}/webhooks/host")), "{made}");

    // A proxy may pass the prefix on or take it away; what is beside it is not there.
    for (client, healthy) in [
        (Client::new(&base), 200),
        (Client::new(&origin), 200),
        (Client::new(&format!("{origin}/tools")), 404),
        (Client::new(&format!("{base}/tools/gantry")), 404),
    ] {
        for path in ["/healthz", "/readyz"] {
            assert_eq!(client.get(path).await.0, healthy, "{path}");
        }
        let webhook = client.get("/webhooks/host").await.0;
        assert_eq!(webhook == 404, healthy == 404, "{webhook}");
    }
}
