//go:build race

package basicauth_test

// underRace: the race detector makes sync.Pool forget at random, and times its own.
const underRace = true
