// Package service is the demo service that quickstart, gin and echo put behind
// three routers: keys, tokens and passwords, plans, envelopes, and a few
// handlers. service.go is the wiring.
package service
