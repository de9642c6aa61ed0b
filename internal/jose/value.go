package jose

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// Text returns the string that a value of Object is, and false where it is
// something else.
func Text(value []byte) (string, bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	inner := value[1 : len(value)-1]
	if bytes.IndexByte(inner, '\\') >= 0 {
		inner = unescape(inner)
	}
	return string(inner), true
}

// unescape returns what a string that str has read stands for.
func unescape(inner []byte) []byte {
	quoted := make([]byte, 0, len(inner)+2)
	quoted = append(append(append(quoted, '"'), inner...), '"')
	var text string
	if json.Unmarshal(quoted, &text) != nil {
		return inner // str has read it, so this does not happen
	}
	return []byte(text)
}

// Texts returns the strings that a value of Object is an array of, and false
// where it is something else.
func Texts(value []byte) ([]string, bool) {
	var all []string
	err := Array(value, func(element []byte) error {
		text, ok := Text(element)
		if !ok {
			return errUnexpected
		}
		all = append(all, text)
		return nil
	})
	return all, err == nil
}

// The instants that a NumericDate may say: years 1 to 9999, as far as RFC 3339
// can write them down. Beyond, sums of time overflow, and a number of today's
// milliseconds, a common mistake, would be a token for ever.
const (
	firstSecond = -62135596800 + 1 // the very first is the zero time.Time
	lastSecond  = 253402300799
)

// NumericDate returns the instant that a value of Object says as in RFC 7519
// section 2: a number of seconds since 1970, possibly negative, possibly with a
// fraction. It returns false where the value is no such number.
func NumericDate(value []byte) (time.Time, bool) {
	if len(value) == 0 || (value[0] != '-' && (value[0] < '0' || value[0] > '9')) {
		return time.Time{}, false
	}
	text := string(value)
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n < firstSecond || n > lastSecond {
			return time.Time{}, false
		}
		return time.Unix(n, 0), true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= firstSecond && f <= lastSecond) {
		return time.Time{}, false
	}
	seconds, fraction := math.Modf(f)
	return time.Unix(int64(seconds), int64(fraction*float64(time.Second))), true
}

// Member returns the value of the member of that name of a text that Object has
// read, or nil.
func Member(text []byte, name string) (value []byte) {
	_ = Object(text, func(n, v []byte) error {
		if string(n) == name {
			value = v
			return errFound
		}
		return nil
	})
	return value
}

// errFound ends a search.
const errFound Flaw = "found"
