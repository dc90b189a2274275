# notifiers
