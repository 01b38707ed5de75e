# shellcheck shell=bash
# shellcheck disable=SC2034  # core.sh reads them
# What is Amazon's: metadata by IMDSv2, secrets of Secrets Manager and SSM, lifecycle hooks, CloudWatch.
#
# Settings of its own: GANTRY_ASG, GANTRY_LAUNCH_HOOK, GANTRY_TERMINATE_HOOK (names; without them nobody is told), and
# GANTRY_AWS_ENDPOINT where services are behind another address than their own names.
# Never: a request to the metadata service without a token, or through a proxy.

IMDS=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}
IMDS=${IMDS%/}
# Amazon's client joins address and path without looking.
[[ -z ${AWS_EC2_METADATA_SERVICE_ENDPOINT:-} ]] || export AWS_EC2_METADATA_SERVICE_ENDPOINT=$IMDS/

imds() {
    local token
    token=$(curl --noproxy '*' -fsS --max-time 5 --retry 3 -X PUT \
        -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$IMDS/latest/api/token") || return
    curl --noproxy '*' -fsS --max-time 5 --config - "$IMDS/latest/$1" <<<"header = \"X-aws-ec2-metadata-token: $token\""
}

aws_() { aws ${GANTRY_AWS_ENDPOINT:+--endpoint-url "$GANTRY_AWS_ENDPOINT"} --cli-connect-timeout 10 --cli-read-timeout 20 "$@"; }

cloud_programs() {
    need aws:awscli
    # The client brings CAs of its own and passes over the system's.
    [[ -z ${GANTRY_CUSTOM_CAS:-} ]] || for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
        [[ ! -e $bundle ]] || export AWS_CA_BUNDLE=$bundle
    done
}

cloud_identity() {
    local silent="the metadata service at $IMDS does not say which instance this is"
    INSTANCE=$(imds meta-data/instance-id) || fail "$silent"
    IMAGE=$(imds meta-data/ami-id) || fail "$silent"
    AWS_DEFAULT_REGION=$(imds meta-data/placement/region) || fail "$silent"
    export AWS_DEFAULT_REGION AWS_PAGER=''
}

cloud_metadata() {
    printf 'SPACELIFT_METADATA_instance_id=%s\nSPACELIFT_METADATA_ami_id=%s\n' "$INSTANCE" "$IMAGE"
    [[ -z ${GANTRY_ASG:-} ]] || printf 'SPACELIFT_METADATA_asg_id=%s\n' "$GANTRY_ASG"
    printf 'AWS_REGION=%s\n' "$AWS_DEFAULT_REGION"
    [[ -z ${AWS_EC2_METADATA_SERVICE_ENDPOINT:-} ]] || printf 'AWS_EC2_METADATA_SERVICE_ENDPOINT=%s\n' "$IMDS"
    [[ $(imds meta-data/instance-life-cycle 2>/dev/null) != spot ]] || default GANTRY_SPOT_NOTICE true
}

cloud_secret() {
    case $1 in
        ssm:*) set -- "${1#ssm:}" ;;
        arn:*:ssm:*:parameter/*) set -- "/${1#*:parameter/}" ;;
        *)
            aws_ secretsmanager get-secret-value --secret-id "$1" --query SecretString --output text
            return
            ;;
    esac
    aws_ ssm get-parameter --with-decryption --name "$1" --query Parameter.Value --output text
}

# cloud_fetch FROM DIR: a release out of a bucket.
cloud_fetch() {
    [[ $1 == s3://* ]] || return
    aws_ s3 cp --recursive --only-show-errors "$1" "$2" >&2
}

# answer HOOK RESULT: what the autoscaling group waits for.
answer() {
    aws_ autoscaling complete-lifecycle-action --auto-scaling-group-name "$GANTRY_ASG" \
        --lifecycle-hook-name "$1" --instance-id "$INSTANCE" --lifecycle-action-result "$2" >/dev/null
}

cloud_ready() {
    [[ -n ${GANTRY_ASG:-} && -n ${GANTRY_LAUNCH_HOOK:-} ]] || return 0
    answer "$GANTRY_LAUNCH_HOOK" CONTINUE || say "hook $GANTRY_LAUNCH_HOOK of $GANTRY_ASG took no answer"
}

# Abandoned means ended and replaced. Outside of a group the launch template decides what a power-off means.
cloud_give_up() {
    if [[ -n ${GANTRY_ASG:-} && -n ${GANTRY_LAUNCH_HOOK:-} ]]; then
        INSTANCE=${INSTANCE:-$(imds meta-data/instance-id)} || true
        export AWS_DEFAULT_REGION=${AWS_DEFAULT_REGION:-$(imds meta-data/placement/region)}
        answer "$GANTRY_LAUNCH_HOOK" ABANDON && return
    fi
    systemctl poweroff
}

cloud_leaving() { [[ $(imds meta-data/autoscaling/target-lifecycle-state 2>/dev/null) == Terminated ]]; }

cloud_heartbeat() {
    [[ -n ${GANTRY_ASG:-} && -n ${GANTRY_TERMINATE_HOOK:-} ]] || return 0
    aws_ autoscaling record-lifecycle-action-heartbeat --auto-scaling-group-name "$GANTRY_ASG" \
        --lifecycle-hook-name "$GANTRY_TERMINATE_HOOK" --instance-id "$INSTANCE" >/dev/null
}

cloud_go() {
    [[ -n ${GANTRY_ASG:-} && -n ${GANTRY_TERMINATE_HOOK:-} ]] || return 0
    local try
    for try in 1 2 3 4 5; do
        answer "$GANTRY_TERMINATE_HOOK" CONTINUE && return
        sleep "$try"
    done
    say "hook $GANTRY_TERMINATE_HOOK of $GANTRY_ASG took no answer: it ends by itself"
}

cloud_ship_logs() {
    local control=/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl
    [[ -x $control ]] || fail "GANTRY_LOG_GROUP is set, and this image has no CloudWatch agent (deploy/packer installs it)"
    jq -n --arg group "$1" --arg stream "$INSTANCE" '{agent: {run_as_user: "root"}, logs: {logs_collected: {files: {collect_list: [
        {file_path: "/var/log/gantry/launcher.log", log_group_name: $group, log_stream_name: $stream}]}}}}' |
        keep 644 "$ETC/cloudwatch.json"
    $control -a fetch-config -m ec2 -s -c "file:$ETC/cloudwatch.json" >/dev/null || fail "the CloudWatch agent does not start"
}
