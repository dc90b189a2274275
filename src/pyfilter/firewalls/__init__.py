# firewalls
