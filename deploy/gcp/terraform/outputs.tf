output "group_name" {
  description = "For autoscalers."
  value       = google_compute_region_instance_group_manager.launchers.name
}

output "service_account_email" {
  description = "Who the machines are; runs are kept from it."
  value       = google_service_account.launcher.email
}

output "user_data" {
  description = "What machines execute at every start. It holds no secret."
  value       = module.user_data.script
}
