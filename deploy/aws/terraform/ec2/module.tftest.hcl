# What the module plans, with a provider that is played: `terraform test` (scripts/try-terraform).

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-west-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/gantry/quay" }
  }
}

variables {
  name         = "quay"
  token_secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:gantry/pool-AbCdEf#SPACELIFT_TOKEN"
  key_secret   = "arn:aws:ssm:eu-west-1:123456789012:parameter/gantry/pool.key"
  vpc_id       = "vpc-1"
  subnet_ids   = ["subnet-1"]
  settings     = { GANTRY_WORKER_TRUST_KEYS = "it's a key", GANTRY_CAPACITY = "2" }
}

run "safe_by_default" {
  command = apply

  assert {
    condition = alltrue([for options in aws_launch_template.launcher.metadata_options :
    options.http_tokens == "required" && options.http_put_response_hop_limit == 1])
    error_message = "instances have to refuse version 1 of the metadata service, and answer nothing that is a hop away"
  }
  assert {
    condition = alltrue([for device in aws_launch_template.launcher.block_device_mappings : alltrue([for disk in device.ebs :
    disk.encrypted == "true" && disk.volume_type == "gp3"])])
    error_message = "the disk is to be encrypted"
  }
  assert {
    condition     = { for hook in aws_autoscaling_group.launchers.initial_lifecycle_hook : hook.name => hook.default_result } == { "quay-joined" = "ABANDON", "quay-idle" = "CONTINUE" }
    error_message = "an instance that does not join is to be replaced"
  }
  assert {
    condition = jsondecode(aws_iam_role_policy.launcher.policy).Statement == [
      { Sid = "Secret0", Effect = "Allow", Action = ["secretsmanager:GetSecretValue"],
      Resource = ["arn:aws:secretsmanager:eu-west-1:123456789012:secret:gantry/pool-AbCdEf"] },
      { Sid = "Secret1", Effect = "Allow", Action = ["ssm:GetParameter"],
      Resource = ["arn:aws:ssm:eu-west-1:123456789012:parameter/gantry/pool.key"] },
      { Sid    = "HooksOfItsOwnGroup", Effect = "Allow",
        Action = ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"],
      Resource = ["arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:*:autoScalingGroupName/quay"] },
    ]
    error_message = "the role may do more or less than it has to: ${aws_iam_role_policy.launcher.policy}"
  }
  assert {
    condition     = strcontains(output.user_data, "GANTRY_LAUNCHER_ENV='GANTRY_CAPACITY=2\nGANTRY_WORKER_TRUST_KEYS=it'\\''s a key'\n")
    error_message = "settings are quoted for the shell"
  }
  assert {
    condition     = length(base64gzip(output.user_data)) / 4 * 3 <= 16384
    error_message = "user data is at most 16 KiB"
  }
  assert {
    condition     = length(aws_vpc_security_group_egress_rule.out) == 1
    error_message = "one rule outwards for each range, none inwards"
  }
}

run "with_everything" {
  command = apply
  variables {
    spot                   = true
    instance_types         = ["t4g.medium", "t4g.large"]
    log_retention_days     = 7
    http_proxy             = "http://proxy.example.com:3128"
    custom_ca_certificates = "eyJjYUNlcnRpZmljYXRlcyI6W119"
    ecr_repository_arns    = ["arn:aws:ecr:eu-west-1:123456789012:repository/runner"]
    release_bucket_arn     = "arn:aws:s3:::releases"
    release = {
      from           = "s3://releases/gantry/0.1.0"
      version        = "0.1.0"
      key            = "KEY"
      install_sha256 = "00"
    }
  }
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.launcher.policy).Statement : statement.Sid] == [
    "Secret0", "Secret1", "HooksOfItsOwnGroup", "LoginToEcr", "PullOfTheseRepositories", "LogsOfThisGroup", "ReleaseInThisBucket"]
    error_message = "a statement is missing"
  }
  assert {
    condition = alltrue([for line in ["GANTRY_HTTP_PROXY='http://proxy.example.com:3128'", "GANTRY_CUSTOM_CAS='eyJjYUNlcnRpZmljYXRlcyI6W119'",
    "GANTRY_RELEASE_FROM='s3://releases/gantry/0.1.0'", "GANTRY_LOG_GROUP='/gantry/quay'", "GANTRY_ASG='quay'"] : strcontains(output.user_data, line)])
    error_message = "a setting did not reach the user data"
  }
}

run "no_secret_in_the_settings" {
  command = plan
  variables {
    settings = { GANTRY_WORKER_TRUST_KEYS = "k", SPACELIFT_TOKEN = "abc" }
  }
  expect_failures = [var.settings]
}

run "no_token_instead_of_its_place" {
  command = plan
  variables {
    token_secret = "eyJicm9rZXIiOiJ4In0="
  }
  expect_failures = [var.token_secret]
}
