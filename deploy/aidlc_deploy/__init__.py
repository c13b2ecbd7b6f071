"""The command that deploys aidlc-auth on AWS, one module per sub-command."""
