# Launchers on EC2: an autoscaling group whose instances join a pool, and finish their runs before they go.
# Secrets are read by the instance itself; none is in the user data, in the state or in a plan.

data "aws_partition" "current" {}
data "aws_region" "current" {}
data "aws_caller_identity" "current" {}

locals {
  launch_hook    = "${var.name}-joined"
  terminate_hook = "${var.name}-idle"
  group_arn = join(":", [
    "arn", data.aws_partition.current.partition, "autoscaling", data.aws_region.current.id,
    data.aws_caller_identity.current.account_id, "autoScalingGroup", "*", "autoScalingGroupName/${var.name}",
  ])
  image_id = var.image_id != "" ? var.image_id : "resolve:ssm:/aws/service/debian/release/12/latest/${var.architecture}"
  tags     = merge({ Name = var.name }, var.tags)
}

module "user_data" {
  source = "../../../terraform/user-data"

  cloud                  = "aws"
  token_secret           = var.token_secret
  key_secret             = var.key_secret
  settings               = var.settings
  release                = var.release
  http_proxy             = var.http_proxy
  no_proxy               = var.no_proxy
  custom_ca_certificates = var.custom_ca_certificates
  extra = {
    GANTRY_ASG            = var.name
    GANTRY_LAUNCH_HOOK    = local.launch_hook
    GANTRY_TERMINATE_HOOK = local.terminate_hook
    GANTRY_LOG_GROUP      = var.log_retention_days > 0 ? aws_cloudwatch_log_group.launchers[0].name : ""
  }
}

# --- who the instances are -----------------------------------------------------------------------------------

resource "aws_iam_role" "launcher" {
  name_prefix = "${substr(var.name, 0, 37)}-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
  tags = local.tags
}

resource "aws_iam_role_policy" "launcher" {
  name = "launcher"
  role = aws_iam_role.launcher.id
  policy = templatefile("${path.module}/../../instance-policy.json.tftpl", {
    secret_arns     = distinct([for secret in [var.token_secret, var.key_secret] : split("#", secret)[0]])
    kms_key_arns    = var.kms_key_arns
    group_arns      = [local.group_arn]
    repository_arns = var.ecr_repository_arns
    log_group_arns  = aws_cloudwatch_log_group.launchers[*].arn
    release_arns    = var.release_bucket_arn == "" ? [] : [var.release_bucket_arn, "${var.release_bucket_arn}/*"]
  })
}

resource "aws_iam_role_policy_attachment" "session_manager" {
  count      = var.session_manager ? 1 : 0
  role       = aws_iam_role.launcher.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_instance_profile" "launcher" {
  name_prefix = "${substr(var.name, 0, 37)}-"
  role        = aws_iam_role.launcher.name
  tags        = local.tags
}

# --- where they are ------------------------------------------------------------------------------------------

resource "aws_security_group" "launcher" {
  name_prefix = "${var.name}-"
  description = "Launchers dial out; nothing dials in"
  vpc_id      = var.vpc_id
  tags        = local.tags
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_egress_rule" "out" {
  for_each          = toset(var.egress_cidrs)
  security_group_id = aws_security_group.launcher.id
  description       = "Server, registries, what runs manage"
  ip_protocol       = "-1"
  cidr_ipv4         = each.value
  tags              = local.tags
}

resource "aws_cloudwatch_log_group" "launchers" {
  count             = var.log_retention_days > 0 ? 1 : 0
  name              = "/gantry/${var.name}"
  retention_in_days = var.log_retention_days
  tags              = local.tags
}

# --- the instances -------------------------------------------------------------------------------------------

resource "aws_launch_template" "launcher" {
  name_prefix                          = "${var.name}-"
  image_id                             = local.image_id
  instance_type                        = var.instance_types[0]
  user_data                            = base64gzip(module.user_data.script)
  vpc_security_group_ids               = [aws_security_group.launcher.id]
  update_default_version               = true
  instance_initiated_shutdown_behavior = "terminate"
  ebs_optimized                        = true
  tags                                 = local.tags

  iam_instance_profile {
    arn = aws_iam_instance_profile.launcher.arn
  }

  # One hop ends at the host: containers get no answer, whatever else keeps them away.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "disabled"
  }

  block_device_mappings {
    device_name = var.root_device
    ebs {
      volume_type           = "gp3"
      volume_size           = var.disk_gb
      encrypted             = true
      kms_key_id            = var.disk_kms_key_id == "" ? null : var.disk_kms_key_id
      delete_on_termination = true
    }
  }

  dynamic "tag_specifications" {
    for_each = ["instance", "volume"]
    content {
      resource_type = tag_specifications.value
      tags          = local.tags
    }
  }
}

resource "aws_autoscaling_group" "launchers" {
  name                      = var.name
  min_size                  = var.min_size
  max_size                  = var.max_size
  vpc_zone_identifier       = var.subnet_ids
  health_check_type         = "EC2"
  health_check_grace_period = 60
  capacity_rebalance        = var.spot
  termination_policies      = ["OldestLaunchTemplate", "OldestInstance"]
  # Evening out zones would end instances that work; an apply of Terraform waits for no instance.
  suspended_processes       = ["AZRebalance"]
  wait_for_capacity_timeout = "0"

  mixed_instances_policy {
    instances_distribution {
      on_demand_base_capacity                  = 0
      on_demand_percentage_above_base_capacity = var.spot ? 0 : 100
      on_demand_allocation_strategy            = "prioritized"
      spot_allocation_strategy                 = "price-capacity-optimized"
    }
    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.launcher.id
        version            = aws_launch_template.launcher.latest_version
      }
      dynamic "override" {
        for_each = var.instance_types
        content {
          instance_type = override.value
        }
      }
    }
  }

  # In service means joined. What can't boot is ended and replaced; the reason is on its console.
  initial_lifecycle_hook {
    name                 = local.launch_hook
    lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    default_result       = "ABANDON"
    heartbeat_timeout    = 1200
  }

  # The instance sends heartbeats while its runs go on, and completes the hook when it is idle.
  initial_lifecycle_hook {
    name                 = local.terminate_hook
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    default_result       = "CONTINUE"
    heartbeat_timeout    = var.drain_heartbeat_seconds
  }

  instance_refresh {
    strategy = "Rolling"
    preferences {
      min_healthy_percentage = 100
      max_healthy_percentage = 200
      # Amazon rolls back to a template whose image is an id, not a name that is looked up.
      auto_rollback = var.image_id != ""
    }
  }

  dynamic "tag" {
    for_each = local.tags
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  lifecycle {
    ignore_changes = [desired_capacity]
  }

  depends_on = [aws_iam_role_policy.launcher, aws_vpc_security_group_egress_rule.out]
}
