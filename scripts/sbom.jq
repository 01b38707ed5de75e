# What the programs of a release are made of, as CycloneDX 1.5, from `cargo metadata`.
#
# Takes the metadata as input; --arg version, commit, time, serial; --rawfile lock (Cargo.lock); --argjson static (libraries
# that are linked in beside crates); --args the packages of the programs. Crates that only tests use are left out; what only
# builds use is marked `excluded`. Features are those of the whole workspace, so a program may hold less than its list.

# checksums: {"name version": sha256} of Cargo.lock.
def checksums:
    [$lock | splits("\\[\\[package\\]\\]\n")
        | select(test("checksum = "))
        | capture("name = \"(?<name>[^\"]+)\"\nversion = \"(?<version>[^\"]+)\"[\\s\\S]*?checksum = \"(?<sum>[0-9a-f]{64})\"")
        | {key: "\(.name) \(.version)", value: .sum}]
    | from_entries;

def closure($nodes; $kinds):
    def grow($seen; $todo):
        if ($todo | length) == 0 then $seen
        else ([$todo[] | $nodes[.].deps[] | select(any(.dep_kinds[].kind; . as $k | $kinds | index([$k]) != null)) | .pkg]
                | unique | map(select($seen[.] | not))) as $next
            | grow($seen + ($next | map({key: ., value: true}) | from_entries); $next)
        end;
    grow(map({key: ., value: true}) | from_entries; .);

def reference: "pkg:cargo/\(.name)@\(.version)";

. as $all
| (.resolve.nodes | map({key: .id, value: .}) | from_entries) as $nodes
| (.packages | map({key: .id, value: .}) | from_entries) as $packages
| ([.packages[] | select(.source == null and (.name | IN($ARGS.positional[]))) | .id]) as $programs
| ($programs | closure($nodes; [null])) as $linked
| ($programs | closure($nodes; [null, "build"])) as $used
| checksums as $sums
| {
    "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    serialNumber: "urn:uuid:\($serial)",
    version: 1,
    metadata: {
        timestamp: $time,
        component: {
            type: "application", name: "gantry", version: $version, "bom-ref": "gantry@\($version)",
            licenses: [{expression: "Apache-2.0"}],
            properties: [{name: "gantry:commit", value: $commit}]
        }
    },
    components: (
        [$used | keys[] | $packages[.]
            | {
                type: (if .source == null and any(.targets[].kind[]; . == "bin") then "application" else "library" end),
                "bom-ref": reference, name, version, purl: reference,
                scope: (if $linked[.id] then "required" else "excluded" end)
            }
            + (if .license then {licenses: [{expression: (.license | gsub("/"; " OR "))}]} else {} end)
            + ($sums["\(.name) \(.version)"] as $sum | if $sum then {hashes: [{alg: "SHA-256", content: $sum}]} else {} end)
            + (if .repository and (.repository | test("^https?://[^ ]+$"))
                then {externalReferences: [{type: "vcs", url: .repository}]} else {} end)]
        + ($static | map({type: "library", "bom-ref": .purl, name, version, purl, scope: "required"}))
        | sort_by(."bom-ref")),
    dependencies: (
        [{ref: "gantry@\($version)", dependsOn: ([$programs[] | $packages[.] | reference] | sort)}]
        + [$used | keys[] | {
            ref: ($packages[.] | reference),
            dependsOn: ([$nodes[.].deps[]
                | select(any(.dep_kinds[].kind; . == null or . == "build")) | .pkg
                | select($used[.]) | $packages[.] | reference] | unique)
        }]
        + [$static[] | {ref: .purl, dependsOn: []}])
}
