"""HateCheck: functional tests with matched templates across seven identities."""
