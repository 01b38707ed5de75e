//! Plans for hosts as they are found: fresh, restarted, shrunk, crowded, crashed.

use super::*;

fn wanted(count: usize) -> Wanted {
    Wanted {
        owner: "/var/lib/gantry-launcher".to_owned(),
        key: "abcde".to_owned(),
        pool: "10.213.0.0/26".parse().expect("valid"),
        count,
        mtu: None,
    }
}

fn subnet(text: &str) -> Ipv4Net {
    text.parse().expect("valid")
}

/// The engine's view of a network that was made as asked.
fn listed(spec: &NetworkSpec) -> ListedNetwork {
    ListedNetwork {
        id: "0a".to_owned(),
        name: spec.name.clone(),
        driver: "bridge".to_owned(),
        subnets: vec![IpNet::V4(spec.subnet)],
        ipv6: false,
        options: spec.options(),
        labels: spec.labels.clone(),
    }
}

fn other(range: &str) -> ListedNetwork {
    ListedNetwork {
        id: "0b".to_owned(),
        name: "theirs".to_owned(),
        driver: "bridge".to_owned(),
        subnets: vec![range.parse().expect("valid")],
        ipv6: false,
        options: BTreeMap::new(),
        labels: BTreeMap::new(),
    }
}

fn route(range: &str) -> Busy {
    Busy {
        range: range.parse().expect("valid"),
        by: "a route of this host by `tun0`".to_owned(),
    }
}

fn names(specs: &[NetworkSpec]) -> Vec<String> {
    let text = |spec: &NetworkSpec| format!("{} {}", spec.name, spec.subnet);
    specs.iter().map(text).collect()
}

fn none() -> BTreeSet<String> {
    BTreeSet::new()
}

fn used(name: &str) -> BTreeSet<String> {
    BTreeSet::from([name.to_owned()])
}

#[test]
fn a_fresh_host_gets_one_network_for_each_run_at_a_time() {
    let plan = plan(&wanted(2), &[other("172.17.0.0/16")], &none(), &[]).expect("room");
    assert_eq!(
        names(&plan.create),
        [
            "gantry-abcde-0 10.213.0.0/28",
            "gantry-abcde-1 10.213.0.16/28"
        ]
    );
    assert!(plan.remove.is_empty());
    assert_eq!(plan.usable.len(), 2);
    for spec in &plan.create {
        assert!(spec.bridge.len() <= 15, "{}", spec.bridge);
        assert_eq!(
            spec.options().get("com.docker.network.bridge.enable_icc"),
            Some(&"false".to_owned())
        );
    }
}

#[test]
fn a_restart_makes_and_removes_nothing() {
    let wanted = wanted(3);
    let first = plan(&wanted, &[], &none(), &[]).expect("room");
    let found: Vec<_> = first.create.iter().map(listed).collect();
    let again = plan(&wanted, &found, &none(), &[]).expect("room");
    assert_eq!((again.create, again.remove), (vec![], vec![]));
    assert_eq!(again.usable, first.usable);
}

#[test]
fn fewer_runs_need_fewer_networks_but_one_in_use_stays() {
    let first = plan(&wanted(3), &[], &none(), &[]).expect("room");
    let found: Vec<_> = first.create.iter().map(listed).collect();
    let less = plan(&wanted(1), &found, &none(), &[]).expect("room");
    assert_eq!(less.remove, ["gantry-abcde-1", "gantry-abcde-2"]);
    let less = plan(&wanted(1), &found, &used("gantry-abcde-2"), &[]).expect("room");
    assert_eq!(less.remove, ["gantry-abcde-0", "gantry-abcde-1"]);
    assert_eq!(less.usable.keys().collect::<Vec<_>>(), [&2]);
}

#[test]
fn what_others_use_is_left_out() {
    let busy = [route("10.213.0.32/27")];
    let found = [other("10.213.0.0/28")];
    let one = plan(&wanted(1), &found, &none(), &busy).expect("room");
    assert_eq!(names(&one.create), ["gantry-abcde-0 10.213.0.16/28"]);
    let error = plan(&wanted(2), &found, &none(), &busy).expect_err("no room");
    let said = error.to_string();
    for part in [
        "GANTRY_NETWORK_POOL: 10.213.0.0/26",
        "networks that runs need (2)",
        "10.213.0.0/28 (Docker network `theirs`)",
        "10.213.0.32/27 (a route of this host by `tun0`)",
    ] {
        assert!(said.contains(part), "{said}");
    }
    // A wider route hides the whole pool.
    assert!(plan(&wanted(1), &[], &none(), &[route("10.0.0.0/8")]).is_err());
}

#[test]
fn what_is_not_as_it_should_be_is_made_again_when_nobody_uses_it() {
    let wanted = wanted(1);
    let right = wanted.spec(0, subnet("10.213.0.0/28"));
    type Change = fn(&mut ListedNetwork);
    let changes: [Change; 6] = [
        |n| n.ipv6 = true,
        |n| n.driver = "macvlan".to_owned(),
        |n| n.options.clear(),
        |n| n.subnets = vec!["10.99.0.0/28".parse().expect("valid")],
        |n| n.subnets.clear(),
        |n| {
            n.options
                .insert("com.docker.network.driver.mtu".to_owned(), "900".to_owned());
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut found = listed(&right);
        change(&mut found);
        let idle = plan(&wanted, &[found.clone()], &none(), &[]).expect("room");
        assert_eq!(idle.remove, ["gantry-abcde-0"], "case {number}");
        assert_eq!(names(&idle.create), ["gantry-abcde-0 10.213.0.0/28"]);
        let in_use = plan(&wanted, &[found], &used("gantry-abcde-0"), &[]).expect("room");
        assert!(in_use.remove.is_empty(), "case {number}");
        assert_eq!(in_use.create.len(), 1, "case {number}");
        assert_eq!(in_use.create[0].name, "gantry-abcde-1", "case {number}");
    }
}

#[test]
fn another_launchers_networks_are_nobodys_business() {
    let mut theirs = wanted(1);
    theirs.owner = "/var/lib/another".to_owned();
    theirs.key = "fffff".to_owned();
    let found = [listed(&theirs.spec(0, subnet("10.213.0.0/28")))];
    let plan = plan(&wanted(1), &found, &none(), &[]).expect("room");
    assert!(plan.remove.is_empty());
    assert_eq!(names(&plan.create), ["gantry-abcde-0 10.213.0.16/28"]);
}

#[test]
fn however_often_it_is_killed_there_are_never_more() {
    // A process that dies after each single step, a hundred times.
    let wanted = wanted(4);
    let mut found: Vec<ListedNetwork> = Vec::new();
    for _ in 0..100 {
        let plan = plan(&wanted, &found, &none(), &[]).expect("room");
        if let Some(spec) = plan.create.first() {
            found.push(listed(spec));
        }
    }
    assert_eq!(found.len(), 4);
}
