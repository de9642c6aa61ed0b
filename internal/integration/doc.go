// Package integration tests keystile against what others have made: parsers of
// standards, and later real servers. It is a module of its own, so that nobody
// who imports keystile gets its dependencies.
package integration
