package basicauth

import (
	"cmp"
	"fmt"

	"github.com/keystile/keystile"
)

// Kind is a scheme of password hashes with its cost: what one compare takes. The
// zero value is none.
type Kind struct {
	scheme scheme
	cost   uint32 // bcrypt: the cost; argon2id: passes
	memory uint32 // argon2id: KiB
	lanes  uint8  // argon2id: threads
}

type scheme uint8

const (
	schemeNone scheme = iota
	schemeBcrypt
	schemeArgon2id
)

// What is taken and what is not. The dearest kinds of either scheme take about a
// second for one compare.
const (
	minBcryptCost  = 4  // the least that there is
	weakBcryptCost = 10 // below it there is a warning
	maxBcryptCost  = 14

	maxArgonMemory = 256 << 10 // KiB: what one compare may occupy
	maxArgonPasses = 64
	maxArgonLanes  = 16
	maxArgonWork   = 1 << 20 // KiB written, passes times memory
	// The weakest that OWASP names writes 35 MiB, in at least 7 MiB.
	weakArgonMemory = 7168
	weakArgonWork   = 5 * 7168

	// maxKinds bounds what one login costs, since it pays one compare of each.
	maxKinds = 8
)

// defaultKind is what Hash makes.
var defaultKind = Kind{schemeArgon2id, 2, 19456, 1}

// BcryptKind is bcrypt of a cost from 4 to 14.
func BcryptKind(cost int) Kind {
	return Kind{scheme: schemeBcrypt, cost: clamp(cost)}
}

// Argon2idKind is argon2id with memory in KiB, passes over it, and threads.
func Argon2idKind(memory, passes, threads int) Kind {
	return Kind{schemeArgon2id, clamp(passes), clamp(memory), uint8(min(clamp(threads), 255))}
}

// clamp keeps what is too small or too large recognisable as such.
func clamp(n int) uint32 {
	if n < 0 || int64(n) > 1<<31 {
		return 1 << 31
	}
	return uint32(n)
}

// KindOf returns the kind of h, or an error that names the scheme and why it is
// not taken, and nothing else of h.
func KindOf(h PasswordHash) (Kind, error) {
	stored, flaw := parseHash(h)
	if flaw != nil {
		return Kind{}, flaw
	}
	return stored.kind, nil
}

// String returns the scheme and its cost, such as "bcrypt 12" or
// "argon2id m=19456,t=2,p=1".
func (k Kind) String() string {
	switch k.scheme {
	case schemeBcrypt:
		return fmt.Sprintf("bcrypt %d", k.cost)
	case schemeArgon2id:
		return fmt.Sprintf("argon2id m=%d,t=%d,p=%d", k.memory, k.cost, k.lanes)
	}
	return "none"
}

// ConfigErr returns why no hash of this kind is taken, or nil.
func (k Kind) ConfigErr() error {
	if reason := k.flaw(); reason != "" {
		return &keystile.ConfigError{Field: "basicauth.Kind", Value: k.String(), Reason: reason}
	}
	return nil
}

// flaw returns why a hash of this kind is not taken, or "".
func (k Kind) flaw() string {
	switch k.scheme {
	case schemeBcrypt:
		switch {
		case k.cost < minBcryptCost:
			return "has a cost that bcrypt does not know; use 10 to 14"
		case k.cost > maxBcryptCost:
			return fmt.Sprintf("is dearer than cost %d, so that a few logins would stop the service; hash the password anew with a cost of 10 to %d", maxBcryptCost, maxBcryptCost)
		}
	case schemeArgon2id:
		switch {
		case k.lanes < 1 || k.cost < 1 || k.memory < 8*uint32(k.lanes): // RFC 9106 section 3.1
			return "has parameters that argon2 does not know: at least one pass, one thread, and 8 KiB for each thread"
		case k.memory > maxArgonMemory || k.cost > maxArgonPasses || k.lanes > maxArgonLanes || uint64(k.memory)*uint64(k.cost) > maxArgonWork:
			return fmt.Sprintf("is dearer than m=%d, t=%d, p=%d or m*t=%d, so that a few logins would stop the service; hash the password anew", maxArgonMemory, maxArgonPasses, maxArgonLanes, maxArgonWork)
		}
	default:
		return "is no kind; use BcryptKind, Argon2idKind or KindOf"
	}
	return ""
}

// weak returns why a hash of this kind should be replaced, or "".
func (k Kind) weak() string {
	switch {
	case k.scheme == schemeBcrypt && k.cost < weakBcryptCost:
		return "is cheap to guess; hash the password anew with htpasswd -B -C 12 or basicauth.Hash"
	case k.scheme == schemeArgon2id && (k.memory < weakArgonMemory || uint64(k.memory)*uint64(k.cost) < weakArgonWork):
		return "is weaker than OWASP recommends; hash the password anew with basicauth.Hash"
	}
	return ""
}

// compareKinds orders kinds, so that compares always run in the same order.
func compareKinds(a, b Kind) int {
	return cmp.Or(cmp.Compare(a.scheme, b.scheme), cmp.Compare(a.cost, b.cost), cmp.Compare(a.memory, b.memory), cmp.Compare(a.lanes, b.lanes))
}
