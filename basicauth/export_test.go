package basicauth

import (
	"golang.org/x/crypto/bcrypt"
)

// Compare is what a test puts in the place of a comparison: real runs it.
type Compare func(k Kind, h PasswordHash, password string, real func() bool) bool

// SetCompare has f called for each comparison, those with dummies too. Call it
// before a is used.
func (a *Authenticator) SetCompare(f Compare) {
	a.comparer.matches = func(h *storedHash, password []byte) bool {
		return f(h.kind, h.hash(), string(password), func() bool { return h.matches(password) })
	}
}

// Waiting returns how many logins wait for a slot.
func (a *Authenticator) Waiting() int { return int(a.gate.waiting.Load()) }

// Flights returns how many comparisons are under way.
func (a *Authenticator) Flights() int {
	a.flights.mu.Lock()
	defer a.flights.mu.Unlock()
	return len(a.flights.all)
}

// Remembered returns how many logins are remembered.
func (a *Authenticator) Remembered() int { return a.memory.len() }

// HashAs hashes password as a kind that Hash does not make.
func HashAs(k Kind, password string) PasswordHash {
	if k.scheme == schemeBcrypt {
		text, err := bcrypt.GenerateFromPassword([]byte(password), int(k.cost))
		if err != nil {
			panic(err)
		}
		return PasswordHash(text)
	}
	h := newDummy(k)
	h.sum = h.argon2id([]byte(password), defaultSum)
	return h.hash()
}

// NewDummy returns a dummy of that kind.
func NewDummy(k Kind) PasswordHash { return newDummy(k).hash() }

// Credentials reads an Authorization field. It reports false for one of another
// scheme.
func Credentials(field string) (name, password string, err error, found bool) {
	encoded, what := find([]string{field})
	if what == nothing {
		return "", "", nil, false
	}
	r := newReaders(nil).get()
	if _, refused := r.load(encoded); refused != nil {
		return "", "", refused, true
	}
	if refused := r.read(); refused != nil {
		return "", "", refused, true
	}
	return string(r.name), string(r.secret), nil, true
}

// Question is what a comparison is shared by.
func Question(encoded string, known bool, h PasswordHash) any {
	sum, refused := newReaders(make([]byte, 32)).get().load(encoded)
	if refused != nil {
		panic(refused)
	}
	return question{sum, known, h}
}

// ParseFile reads a password file.
func ParseFile(path string, text []byte) (map[string]*User, error) {
	f, err := parseFile(path, text, nil)
	if err != nil {
		return nil, err
	}
	return f.users, nil
}

// Rewrite reads h and writes it again.
func Rewrite(h PasswordHash) (PasswordHash, bool) {
	stored, flaw := parseHash(h)
	if flaw != nil {
		return "", false
	}
	return stored.hash(), true
}
