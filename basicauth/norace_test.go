//go:build !race

package basicauth_test

const underRace = false
