//! Hostile requests, made from the ones that are let through.
//!
//! Takes the cases, gives requests each of which has to be refused whatever the row. Never: one that only looks
//! hostile; what a row rightly takes is left out by how the family is made.

use std::collections::BTreeSet;

use gantry_vcs_agent::vendor::Vendor;

use crate::cases::{self, Case, SHA};

/// A request that must not pass.
pub(crate) struct Hostile {
    pub(crate) method: String,
    pub(crate) target: String,
}

/// Segments that climb, vanish, or become something else on the way.
const SEGMENTS: [&str; 26] = [
    "..",
    ".",
    "",
    "%2e%2e",
    "%2E%2E",
    ".%2e",
    "%2e.",
    "%2e",
    "..%2f",
    "..%2F..",
    "%2f..",
    "..%5c",
    "%5c",
    "%252e%252e",
    "%252e",
    "%252f",
    "..%252f",
    "..;",
    "..%3b",
    "%00",
    "..%00",
    "%c0%ae%c0%ae",
    "%uff0e%uff0e",
    "%EF%BC%8E%EF%BC%8E",
    "..%20",
    "%0d%0aHost:%20evil",
];

/// What may stand before a path to move it to another authority.
const FRONTS: [&str; 16] = [
    "@evil.tld",
    ".evil.tld",
    ":8443",
    ":pw@evil.tld",
    "/",
    "//evil.tld",
    "/\\evil.tld",
    "\\\\evil.tld",
    "https://evil.tld",
    "https:",
    "http:/",
    "/%2fevil.tld",
    "?@evil.tld",
    "#@evil.tld",
    " ",
    "\t",
];

/// What may stand behind the path to mean more than the path.
const ENDS: [&str; 20] = [
    "/x:y",
    "/..",
    "/../../../admin/users",
    "/%2e%2e/%2e%2e/admin",
    "//",
    ";",
    ";a=b",
    "%3b",
    "%00",
    "%00.json",
    "%0a",
    "%0d%0a",
    "%20",
    "#",
    "#/admin",
    "%",
    "%2",
    "%zz",
    "\\",
    "%5c..%5cadmin",
];

const QUERIES: [&str; 8] = [
    "_method=DELETE",
    "sudo=root",
    "SUDO=1",
    "private_token=x",
    "access_token=x",
    "path=../../x",
    "x=%00",
    "x=%zz",
];

const METHODS: [&str; 16] = [
    "GET",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "HEAD",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "get",
    "Get",
    "post",
    "",
    "GET ",
    "GET /admin",
];

/// All families over all rows of a vendor.
pub(crate) fn of(vendor: Vendor) -> Vec<Hostile> {
    let mut all = Vec::new();
    let cases = cases::of(vendor);
    for case in cases {
        all.extend(paths(case));
        all.extend(methods(case, cases));
    }
    let own = own(vendor).into_iter();
    let own = own.map(|(method, target)| hostile(method, &target));
    all.extend(own);
    all.extend(
        everywhere()
            .into_iter()
            .map(|target| hostile("GET", &target)),
    );
    all
}

fn hostile(method: &str, target: &str) -> Hostile {
    Hostile {
        method: method.to_owned(),
        target: target.to_owned(),
    }
}

/// Path and query of a target; the query with its mark.
fn split(target: &str) -> (&str, &str) {
    let at = target.find('?').unwrap_or(target.len());
    target.split_at(at)
}

fn paths(case: &Case) -> Vec<Hostile> {
    let (path, query) = split(case.target);
    let mut targets: BTreeSet<String> = BTreeSet::new();
    let pieces: Vec<_> = path.split('/').skip(1).collect();
    for at in 0..=pieces.len() {
        for segment in SEGMENTS {
            // A slash at the very end is one row's right, and `ENDS` doubles it.
            if segment.is_empty() && at == pieces.len() {
                continue;
            }
            let mut with = pieces.clone();
            with.insert(at, segment);
            targets.insert(format!("/{}{query}", with.join("/")));
            if let Some(place) = with.get_mut(at + 1) {
                *place = segment;
                with.remove(at);
                targets.insert(format!("/{}{query}", with.join("/")));
            }
        }
    }
    targets.extend(FRONTS.iter().map(|front| format!("{front}{path}{query}")));
    targets.extend(ENDS.iter().map(|end| format!("{path}{end}{query}")));
    let joint = if query.is_empty() { '?' } else { '&' };
    targets.extend(
        QUERIES
            .iter()
            .map(|more| format!("{path}{query}{joint}{more}")),
    );
    targets.insert(format!("{}{query}", path.to_uppercase()));
    targets.insert(format!("{path}{query}{joint}x={}", "a".repeat(8192)));
    targets.insert(format!("{path}/{}{query}", "a".repeat(1025)));
    targets.insert(format!("{}{query}", path.trim_start_matches('/')));
    targets
        .iter()
        .filter(|target| target.as_str() != case.target && split(target).0 != "/api/v4/")
        .map(|target| hostile(case.method, target))
        .collect()
}

/// Every method that no row of the same path has.
fn methods(case: &Case, all: &[Case]) -> Vec<Hostile> {
    let (path, _) = split(case.target);
    // Listed and created at one path, by rows whose cases may write the path in two ways.
    let listed = path.ends_with("/environments") || path.ends_with("/deployments");
    let sound = |method: &&&str| {
        let same = |other: &&Case| split(other.target).0 == path && other.method == **method;
        all.iter().find(same).is_some() || (listed && ["GET", "POST"].contains(*method))
    };
    METHODS
        .iter()
        .filter(|method| !sound(method))
        .map(|method| hostile(method, case.target))
        .collect()
}

/// Names that look like `team/app`, as owner and repository.
pub(crate) fn look_alikes() -> [(&'static str, &'static str); 14] {
    [
        ("evil-team", "app-fork"),
        ("evil-team", "app"),
        ("team", "app-fork"),
        ("team", "app."),
        ("team", "app.git.git"),
        ("team", "appx"),
        ("team", "ap"),
        ("teams", "app"),
        ("team-", "app"),
        ("team", "app%20"),
        ("%20team", "app"),
        ("team%20", "app"),
        ("te\u{430}m", "app"),
        ("te%D0%B0m", "app"),
    ]
}

/// A case's target with another project.
pub(crate) fn with_project(target: &str, owner: &str, name: &str) -> Option<String> {
    for (separator, between) in [
        ("%2F", "%2F"),
        ("%2f", "%2f"),
        ("/", "/"),
        ("/repos/", "/repos/"),
    ] {
        let ours = format!("/team{separator}app");
        if target.contains(&ours) {
            let other = format!("/{owner}{between}{name}");
            return Some(target.replacen(&ours, &other, 1));
        }
    }
    None
}

/// Paths that no vendor's table has.
fn everywhere() -> Vec<String> {
    [
        "/",
        "/admin",
        "/admin/users",
        "/.git/config",
        "/.env",
        "/login",
        "/oauth/token",
        "/api",
        "/api/v4/application/settings",
        "/team/app.git/info/refs?service=git-receive-pack",
        "/team/app.git/info/refs",
        "/team/app.git/info/refs?service=git-upload-pack&service=git-receive-pack",
        "/team/app.git/info/refs?service=git-upload-pack%20",
        "/team/app.git/info/refs?service=GIT-UPLOAD-PACK",
        "/team/app.git/info/refs?Service=git-upload-pack",
        "/team/app.git/git-upload-pack",
        "/team/app.git/git-receive-pack",
        "/team/app.git/HEAD",
        "/team/app.git/objects/info/packs",
        "/team/app.git/config",
        "/app.git/info/refs?service=git-upload-pack",
        "/team/.git/info/refs?service=git-upload-pack",
        "/team/app.git/info/lfs/objects/batch",
        "/api/graphql",
        "/graphql",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// What only one vendor's table could get wrong.
fn own(vendor: Vendor) -> Vec<(&'static str, String)> {
    match vendor {
        Vendor::Gitlab => gitlab(),
        Vendor::GithubEnterprise => github(),
        Vendor::BitbucketDatacenter => bitbucket(),
        Vendor::AzureDevops => azure(),
    }
}

fn gitlab() -> Vec<(&'static str, String)> {
    let below = |rest: &str| format!("/api/v4/projects/team%2Fapp{rest}");
    let mut all: Vec<(&str, String)> = [
        "/repository/files/evil.spacelift%2Fconfig.yml/raw",
        "/repository/files/x%2Fevil.spacelift%2Fconfig.yml/raw",
        "/repository/files/.spacelift%2Fconfig.yml%2Fx/raw",
        "/repository/files/.spacelift%2Fconfig.ymlx/raw",
        "/repository/files/xspacelift%2Fconfig.yml/raw",
        "/repository/files/.spacelift%2Fconfigxyml/raw",
        "/repository/files/..%2F.spacelift%2Fconfig.yml/raw",
        "/repository/files/%2F.spacelift%2Fconfig.yml/raw",
        "/repository/files/.spacelift/config.yml/raw",
        "/repository/files/terraform.tfvars/raw",
        "/repository/commits/565958b65e14a5e06c1c467a66b446f2afcf87e",
        "/repository/commits/565958B65E14A5E06C1C467A66B446F2AFCF87EF",
        "/repository/branches/a%20b",
        "/repository/branches/a..b",
        "/repository/branches/-x",
        "/repository/branches/a.lock",
        "/repository/branches/a%2F.b",
        "/variables",
        "/hooks",
        "/members",
        "/access_tokens",
        "/deploy_keys",
        "/repository/tree",
        "/export/download",
        "/merge_requests/5/merge",
        "/merge_requests/x",
        "/environments/x",
        "/triggers",
        "/jobs",
        "/snippets/1/raw",
    ]
    .map(|rest| ("GET", below(rest)))
    .to_vec();
    all.extend([
        ("PUT", below("/merge_requests/5")),
        ("PUT", below("/merge_requests/5/merge")),
        ("DELETE", below("")),
        ("POST", below("/repository/branches")),
        ("POST", below("/repository/commits")),
        ("POST", below("/statuses/main")),
        ("POST", "/api/v4/projects".to_owned()),
        ("GET", "/api/v4/projects/team/app".to_owned()),
        ("GET", "/api/v4/projects/team".to_owned()),
        ("GET", "/api/v4/projects/team%2F".to_owned()),
        ("GET", "/api/v4/projects/team%252Fapp".to_owned()),
        ("GET", "/api/v4/projects/-%2Fapp".to_owned()),
        ("GET", "/gitlab/api/v4/projects".to_owned()),
        ("GET", "/api/v4/users".to_owned()),
        ("GET", "/api/v4/version/x".to_owned()),
        ("GET", "/api/v5/projects".to_owned()),
    ]);
    all
}

fn github() -> Vec<(&'static str, String)> {
    let below = |rest: &str| format!("/repos/team/app{rest}");
    let mut all: Vec<(&str, String)> = [
        "/compare/abcde/../../../../../admin/users",
        "/compare/abc...def/../../x",
        "/compare/abc...def/x",
        "/compare/abc..def",
        "/compare/abcXXXdef",
        "/compare/abc....def",
        "/compare/...def",
        "/compare/abc...",
        "/compare/abc...evil:main",
        "/compare/evil:app:main...def",
        "/compare/a...b...c",
        "/commits/abc/../../x",
        "/commits/a..b",
        "/commits/abc:path",
        "/commits/abc%3Apath",
        "/commits/abc/pulls/../../..",
        "/contents/.spacelift/config.yml/x",
        "/contents/evil.spacelift/config.yml",
        "/contents/x.spacelift/config.yml",
        "/contents/.spacelift/config.ymlx",
        "/contents/.spacelift/xconfig.yml",
        "/contents/.spacelift",
        "/contents/terraform.tfvars",
        "/contents",
        "/hooks",
        "/keys",
        "/actions/secrets",
        "/collaborators",
        "/git/trees/main",
        "/zipball/main",
        "/pulls",
        "/pulls/x",
        "/pulls/1/merge",
        "/deployments/x",
        "/branches/main/protection",
    ]
    .map(|rest| ("GET", below(rest)))
    .to_vec();
    all.extend([
        ("PUT", below("/contents/.spacelift/config.yml")),
        ("PUT", below("/pulls/1/merge")),
        ("POST", below("/git/refs")),
        ("POST", below("/statuses/main")),
        ("DELETE", below("")),
        ("PATCH", below("")),
        ("GET", "/api/v3/api/v3/repos/team/app".to_owned()),
        ("GET", "/api/v4/repos/team/app".to_owned()),
        ("GET", "/api/repos/team/app".to_owned()),
        ("GET", "/repos/team".to_owned()),
        ("GET", "/repos/team%2Fapp".to_owned()),
        ("GET", "/repos/team%2Fapp/x".to_owned()),
        ("GET", "/team/app/legacyXtar.gz/main".to_owned()),
        ("GET", "/team/app/legacy.tar.gz".to_owned()),
        ("GET", "/team/app/legacy.tar.gz/a..b".to_owned()),
        (
            "GET",
            "/codeload.evil.tld/team/app/legacy.tar.gz/main/../x".to_owned(),
        ),
        ("GET", "/x/team/app/legacy.tar.gz/main".to_owned()),
        ("GET", "/team/app/legacy.zip/main".to_owned()),
        ("POST", "/graphql?query=mutation".to_owned()),
        ("POST", "/api/v3/graphql".to_owned()),
        ("POST", "/api/graphql/x".to_owned()),
        ("GET", "/user/keys".to_owned()),
        ("GET", "/users/a%2Fb".to_owned()),
        ("GET", "/app/installations/1".to_owned()),
        ("POST", "/app/installations/x/access_tokens".to_owned()),
        ("DELETE", "/app/installations/1".to_owned()),
        (
            "GET",
            "/a/team/app.git/info/refs?service=git-upload-pack".to_owned(),
        ),
        ("GET", format!("/repos/team/app/commits/{SHA}/comments")),
    ]);
    all
}

fn bitbucket() -> Vec<(&'static str, String)> {
    let below = |rest: &str| format!("/rest/api/1.0/projects/team/repos/app{rest}");
    let raw = |rest: &str| format!("/projects/team/repos/app/raw/{rest}");
    let mut all: Vec<(&str, String)> = [
        "/permissions/users",
        "/settings/hooks",
        "/webhooks",
        "/browse",
        "/branch-permissions",
        "/tags",
        "/pull-requests/x",
        "/pull-requests/7/approve",
        "/commits/a..b",
        "/compare",
        "/compare/diff",
        "/raw/terraform.tfvars",
        "/raw/x.spacelift/config.yml",
        "/archive/x",
        "/forks",
        "/branches/main",
    ]
    .map(|rest| ("GET", below(rest)))
    .to_vec();
    all.extend(
        [
            "../.spacelift/config.yml",
            "..%2f.spacelift/config.yml",
            "x/../../.spacelift/config.yml",
            "evil.spacelift/config.yml",
            "xspacelift/config.yml",
            "Xspacelift/configXyml",
            ".spacelift/configXyml",
            ".spacelift/config.yml/x",
            ".spacelift%2Fconfig.yml",
            "terraform.tfvars",
            ".spacelift/config.yaml",
            "",
        ]
        .map(|rest| ("GET", raw(rest))),
    );
    all.extend([
        ("POST", below("/pull-requests")),
        ("POST", below("/pull-requests/7/merge")),
        ("POST", below("/pull-requests/7/approve")),
        ("DELETE", below("")),
        ("DELETE", below("/pull-requests/7/comments/8")),
        ("PUT", below("")),
        ("POST", below("/branches")),
        ("POST", below("/commits/main/builds")),
        ("POST", format!("/rest/build-status/1.0/commits/{SHA}")),
        ("GET", "/rest/api/latest/repos".to_owned()),
        ("GET", "/rest/api/1x0/repos".to_owned()),
        ("GET", "/rest/api/1.0/admin/users".to_owned()),
        ("GET", "/rest/api/1.0/users".to_owned()),
        ("GET", "/rest/api/1.0/users/a/settings".to_owned()),
        (
            "GET",
            "/rest/api/1.0/projects/team%2Frepos/repos/app".to_owned(),
        ),
        (
            "GET",
            "/scm/team/x/app.git/info/refs?service=git-upload-pack".to_owned(),
        ),
        (
            "GET",
            "/team/app.git/info/refs?service=git-upload-pack".to_owned(),
        ),
        (
            "GET",
            "/scm/team/app.git/info/refs?service=git-receive-pack".to_owned(),
        ),
        ("POST", "/scm/team/app.git/git-receive-pack".to_owned()),
        ("POST", "/scm/team/app.git/git-upload-pack?x".to_owned()),
    ]);
    all
}

fn azure() -> Vec<(&'static str, String)> {
    let below = |rest: &str| format!("/org/team/_apis/git/repositories/app{rest}");
    let mut all: Vec<(&str, String)> = [
        "/pushes",
        "/pullRequests/1234/attachments/%2Fattachment.tar.gz",
        "/pullRequests/x",
        "/commits/main",
        "/blobs/1",
        "/trees/1",
        "/stats",
        "/diffs",
        "/items/x",
        "/forks",
        "/importRequests",
        "/permissions",
        "/annotatedtags/1",
        "/pullRequests/1/threads",
        "/pullRequests/1/threads/x",
        "/commitsBatch",
        "/cherryPicks",
    ]
    .map(|rest| ("GET", below(rest)))
    .to_vec();
    all.extend([
        ("GET", "/org/_apis/UnknownResource".to_owned()),
        ("GET", "/org/_apis".to_owned()),
        ("GET", "/org/_apis/projects".to_owned()),
        ("GET", "/org/_apis/ResourceAreas/x".to_owned()),
        ("GET", "/org/_apis/serviceendpoint/endpoints".to_owned()),
        (
            "GET",
            "/org/team/_apis/distributedtask/variablegroups".to_owned(),
        ),
        ("GET", "/org/team/_apis/build/builds".to_owned()),
        ("GET", "/x/y/org/team/_apis/git/repositories/app".to_owned()),
        (
            "GET",
            "/tfs/x/org/team/_apis/git/repositories/app".to_owned(),
        ),
        ("GET", "/TFS/org/team/_apis/git/repositories/app".to_owned()),
        (
            "GET",
            "/tfs/tfs/org/team/_apis/git/repositories/app".to_owned(),
        ),
        (
            "GET",
            "/evil/org/team/_apis/git/repositories/app/items/../../../..".to_owned(),
        ),
        ("GET", "/org/team/_apis/git/repositories/app%2Fx".to_owned()),
        ("GET", "/org/team/_apis/git/repositories/_app".to_owned()),
        ("GET", "/_org/team/_apis/git/repositories/app".to_owned()),
        ("GET", "/org/team/_apis/git/repositories/app.".to_owned()),
        (
            "GET",
            "/org/team/_git/app/info/refs?service=git-receive-pack".to_owned(),
        ),
        ("GET", "/org/team/_git/app/info/refs".to_owned()),
        ("GET", "/org/team/_git/app".to_owned()),
        (
            "GET",
            "/team/app.git/info/refs?service=git-upload-pack".to_owned(),
        ),
        ("POST", "/org/team/_git/app/git-receive-pack".to_owned()),
        (
            "POST",
            "/org/team/_git/app/git-upload-pack?service=git-receive-pack".to_owned(),
        ),
        ("POST", below("/pushes")),
        ("POST", below("/refs")),
        ("POST", below("/pullRequests")),
        ("PATCH", below("/pullRequests/1")),
        ("PATCH", below("")),
        ("DELETE", below("")),
        ("PUT", below("/pullRequests/1/labels")),
        ("OPTIONS", "/org/team/x/_apis".to_owned()),
    ]);
    all
}
