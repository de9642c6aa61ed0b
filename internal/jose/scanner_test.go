package jose_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/keystile/keystile/internal/jose"
)

func read(text string) error {
	return jose.Object([]byte(text), func(_, _ []byte) error { return nil })
}

func TestObjectGivesMembers(t *testing.T) {
	text := " {\"a\" :\t1.5e-3 ,\r\n\"\\u0062\\n\": [ 1 , {\"a\":\"x\"} ] ,\"\":null,\"\u00e9\\ud83d\\ude00\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\", \"t\":true,\"f\":false,\"o\":{ },\"l\":[ ]} "
	var got []string
	err := jose.Object([]byte(text), func(name, value []byte) error {
		got = append(got, strconv.Quote(string(name))+"="+string(value))
		return nil
	})
	want := []string{`"a"=1.5e-3`, `"b\n"=[ 1 , {"a":"x"} ]`, `""=null`, `"é😀"="\"\\\/\b\f\n\r\t"`, `"t"=true`, `"f"=false`, `"o"={ }`, `"l"=[ ]`}
	if err != nil || strings.Join(got, ";") != strings.Join(want, ";") {
		t.Errorf("%q, %v\nwant %q", got, err, want)
	}
}

func TestNamesMustBeUniqueAtAnyDepth(t *testing.T) {
	many := func(last string) string {
		var b strings.Builder
		for i := range 40 {
			b.WriteString(`"n` + strconv.Itoa(i) + `":0,`)
		}
		return "{" + b.String() + `"` + last + `":0}`
	}
	for _, tt := range []struct {
		name, text string
		unique     bool
	}{
		{"two of the same", `{"a":1,"a":1}`, false},
		{"the second one escaped", `{"a":1,"\u0061":2}`, false},
		{"the first one escaped", `{"\u0061":1,"a":2}`, false},
		{"two empty names", `{"":1,"":2}`, false},
		{"in an object in an object", `{"a":{"b":{"c":1,"d":2,"c":3}}}`, false},
		{"in an object in a list", `{"a":[1,[{"b":1,"b":1}]]}`, false},
		{"among forty", many("n7"), false},
		{"the last of forty", many("n39"), false},
		{"forty-one different names", many("n40"), true},
		{"names that differ in case", `{"a":1,"A":2}`, true},
		{"the same name in two objects", `{"a":{"a":{"a":1}},"b":{"a":1}}`, true},
		{"names of which one begins the other", `{"a":1,"aa":2,"":3}`, true},
	} {
		if err := read(tt.text); (err == nil) != tt.unique {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestDepthIsBounded(t *testing.T) {
	nested := func(n int) string {
		return `{"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + "}"
	}
	if err := read(nested(jose.MaxDepth)); err != nil {
		t.Errorf("%d deep: %v", jose.MaxDepth, err)
	}
	if err := read(nested(jose.MaxDepth + 1)); err == nil {
		t.Error("one deeper is read")
	}
	if err := read(strings.Repeat(`{"a":`, 1e5)); err == nil {
		t.Error("objects 10^5 deep are read")
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	text := []byte(`{"iss":"https://issuer.example","aud":["a","b"],"exp":1700000000,"nested":{"a":{"b":[1,2,3]}}}`)
	if n := testing.AllocsPerRun(100, func() {
		if jose.Object(text, func(_, _ []byte) error { return nil }) != nil {
			t.Fail()
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestNumericDate(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		seconds     int64
		nanos       int
		ok          bool
	}{
		{"seconds", "1700000000", 1700000000, 0, true},
		{"before 1970", "-1", -1, 0, true},
		{"a fraction", "1700000000.5", 1700000000, 5e8, true},
		{"a fraction before 1970", "-1.25", -2, 75e7, true},
		{"an exponent", "17e8", 1700000000, 0, true},
		{"nothing, negative", "-0", 0, 0, true},
		{"the last second of 9999", "253402300799", 253402300799, 0, true},
		{"the year 10000", "253402300800", 0, 0, false},
		{"milliseconds of today", "1700000000000", 0, 0, false},
		{"the zero time", "-62135596800", 0, 0, false},
		{"the largest int64", "9223372036854775807", 0, 0, false},
		{"beyond int64", "9223372036854775808", 0, 0, false},
		{"below int64", "-9223372036854775809", 0, 0, false},
		{"beyond float64", "1e400", 0, 0, false},
		{"below float64", "-1e400", 0, 0, false},
		{"a large float64", "1e308", 0, 0, false},
		{"next to nothing", "1e-400", 0, 0, true},
		{"a string", `"1700000000"`, 0, 0, false},
		{"null", "null", 0, 0, false},
		{"true", "true", 0, 0, false},
		{"a list", "[1700000000]", 0, 0, false},
		{"an object", "{}", 0, 0, false},
		{"no value", "", 0, 0, false},
		{"what Go calls NaN", "NaN", 0, 0, false},
		{"what Go calls infinite", "Inf", 0, 0, false},
	} {
		got, ok := jose.NumericDate([]byte(tt.value))
		if ok != tt.ok || ok && (got.Unix() != tt.seconds || got.Nanosecond() != tt.nanos) {
			t.Errorf("%s: %v, %v", tt.name, got, ok)
		}
	}
}

// What Object accepts, encoding/json accepts and reads alike; what encoding/json
// accepts and Object does not has a name twice, is nested deeply or is no Unicode.
func FuzzObject(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"a":1}`, `{"a":{"b":[1,2,{"c":null}]},"d":"é"}`, `{"\u0061":"\ud83d\ude00"}`, `{"a":1,"a":2}`, `{"a":"\ud800"}`,
		`{"a":1e400}`, `{"a":-0.0E+1}`, "{\"a\":\"\xff\"}", `{"a":[[[[]]]]}`, ` { } `, `{"a":1}x`, `{"a":tru}`, `{"a":"` + "\x00" + `"}`, `{"a":01}`, `{"a":1,}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		members := map[string]string{}
		err := jose.Object(text, func(name, value []byte) error {
			members[string(name)] = string(value)
			return nil
		})
		var std map[string]json.RawMessage
		stdErr := json.Unmarshal(text, &std)
		if err == nil {
			if stdErr != nil {
				t.Fatalf("%q is read, and encoding/json says %v", text, stdErr)
			}
			if len(std) != len(members) {
				t.Fatalf("%q: %q, encoding/json reads %q", text, members, std)
			}
			for name, value := range std {
				if members[name] != string(value) {
					t.Fatalf("%q: %q, encoding/json reads %q", text, members, std)
				}
				if s, isText := jose.Text(value); isText {
					var want string
					if json.Unmarshal(value, &want) != nil || s != want {
						t.Fatalf("%q is %q, encoding/json reads %q", value, s, want)
					}
				}
			}
			return
		}
		if stdErr == nil && std != nil && !excusable(text) {
			t.Fatalf("%q: %v, and encoding/json reads it", text, err)
		}
	})
}

// excusable reports whether there is something in text that encoding/json lets
// through.
func excusable(text []byte) bool {
	if strings.ToValidUTF8(string(text), "") != string(text) || bytes.Contains(text, []byte(`\u`)) {
		return true
	}
	names := []map[string]bool{}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	wantName := []bool{}
	for {
		token, err := dec.Token()
		if err != nil {
			return false
		}
		top := len(names) - 1
		if token == json.Delim('{') || token == json.Delim('[') {
			if top >= 0 && names[top] != nil {
				wantName[top] = true
			}
			if len(names) >= jose.MaxDepth {
				return true
			}
			if token == json.Delim('{') {
				names, wantName = append(names, map[string]bool{}), append(wantName, true)
			} else {
				names, wantName = append(names, nil), append(wantName, false)
			}
			continue
		}
		if token == json.Delim('}') || token == json.Delim(']') {
			names, wantName = names[:top], wantName[:top]
			continue
		}
		if top < 0 || names[top] == nil {
			continue
		}
		if wantName[top] {
			name := token.(string)
			if names[top][name] {
				return true
			}
			names[top][name] = true
		}
		wantName[top] = !wantName[top]
	}
}
