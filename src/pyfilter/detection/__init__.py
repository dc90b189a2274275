# detection
