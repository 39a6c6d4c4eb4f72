"""Grafana's dashboards of the service and of the daily check."""
