output "autoscaling_group_name" {
  description = "For autoscalers: it is also the tag asg_id of the launchers."
  value       = aws_autoscaling_group.launchers.name
}

output "autoscaling_group_arn" {
  description = "For autoscalers."
  value       = aws_autoscaling_group.launchers.arn
}

output "role_arn" {
  description = "Who the instances are; runs are kept from it."
  value       = aws_iam_role.launcher.arn
}

output "role_name" {
  description = "For policies of your own, such as those that docker pulls need."
  value       = aws_iam_role.launcher.name
}

output "security_group_id" {
  description = "For rules of what the launchers may reach."
  value       = aws_security_group.launcher.id
}

output "user_data" {
  description = "What instances execute at their first start. It holds no secret."
  value       = module.user_data.script
}
