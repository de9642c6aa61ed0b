package envelope_test

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/envelope"
)

// FuzzFrame writes arbitrary bytes in arbitrary pieces, by a handler that looks
// at no error. The client gets the frame with exactly the handler's value in it,
// or an error, or a connection that was aborted after something that does not
// parse; or, without a Content-Type, the bytes as they are.
func FuzzFrame(f *testing.F) {
	for _, body := range []string{
		"", " \n", `{"a":[1,-2.5e+3,"\u0041\n"],"b":{}}`, ` [true,false,null] `, `12`, `0 `, `"x"`, `{}{}`, `1},{"status":"success","data":2`, `[1,]`, `{"a":}`,
		`{"a" 1}`, "[\"\x01\"]", "[\"\xff\"]", `hello`, `[INFO]`, `01`, `1.`, `-`, `1e`, `tru`, `truex`, `nul`, `"\u12"`, `]`, `[}`, `{]`, `[[[[{"a":[]}]]]]`,
		"trux", "[-x]", "-0", "[-0.0e-0,-10.5E+10]", "[1.x]", "[1e+x]", "[+1]", "[.5]", "[00]", "[0x1]", `{"a":-}`, `{,}`, `{"a":1 "b":2}`, `{1:2}`, `["\x"]`, `["\uD800"]`, "[\"\\\n\"]", "nullnull", "[1 2]", "\v1", "\ufeff1",
		strings.Repeat(`[{"a":`, 70) + "1" + strings.Repeat("}]", 70),
	} {
		for _, how := range []byte{0, 1, 2, 4, 8, 15} {
			f.Add([]byte(body), []byte{1, 3, 0, 200}, how)
		}
	}
	const before, after = `{"status":"success","data":`, `}`
	refused := `{"status":"error","message":"Something went wrong on the server.","data":null}`
	f.Fuzz(func(t *testing.T, body, cuts []byte, how byte) {
		typed, text := how&1 == 0, string(body)
		env := newEnvelope(t, envelope.Config{})
		g := record(env.Wrap(handler(func(w http.ResponseWriter, _ *http.Request) {
			if typed {
				w.Header().Set("Content-Type", isJSON)
			}
			for i, rest := 0, text; len(rest) > 0; i++ {
				n := len(rest)
				if i < len(cuts) {
					n = min(n, int(cuts[i]))
				} else if len(cuts) > 0 {
					n = min(n, 1+int(cuts[i%len(cuts)]))
				}
				switch piece := rest[:n]; {
				case how&2 != 0:
					_, _ = io.WriteString(w, piece)
				case how&4 != 0:
					_, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader(piece))
				default:
					_, _ = w.Write([]byte(piece))
				}
				if how&8 != 0 {
					w.(http.Flusher).Flush()
				}
				rest = rest[n:]
			}
		})), get("/"))

		value := strings.Trim(text, " \t\r\n")
		valid := json.Valid(body)
		if value == "" {
			value, valid = "null", true
		}
		framed := !g.aborted && g.status == 200 && g.body == before+value+after
		switch {
		case framed && valid:
		case valid && typed:
			t.Errorf("a valid value is not framed: %v", g)
		case !typed && !g.aborted && g.status == 200 && g.body == text:
		case valid:
			t.Errorf("a valid value is neither framed nor as it is: %v", g)
		case g.aborted && !json.Valid([]byte(g.body)) && (g.body == "" || strings.HasPrefix(g.body, before)):
		case g.status == 500 && g.body == refused && !g.aborted:
		default:
			t.Errorf("an invalid value: %v", g)
		}
	})
}

// FuzzAccept compares the choice of a media type with a slow one made of regular
// expressions, where there is nothing quoted; and an error always has a type of
// the house.
func FuzzAccept(f *testing.F) {
	for _, accept := range []string{
		"", "*/*", "application/json", "application/*;q=0.5, application/xml", "text/html, image/gif, *; q=.2, */*; q=.2", "application/json;v=2;q=1;x=y",
		`a/b;c="d,e";q=0.1, application/json;V="2"`, "application/vnd.acme.x+json", "application/vnd.acme.x+xml;q=0.001, */*;q=0", ";q=1", ",,/,", "application/json;q=1.0001",
		"application/json;q=0, */*;q=0.1", "application/json;=1;q=1", "application/json;q=0.x", "application/json;q=", "application/xml;charset=UTF-8", `"`, `a/b;c="\`, "APPLICATION/VND.ACME.\u00e9+json", "application/vnd.acme.x\r\nX: 1+json",
	} {
		f.Add(accept, "", byte(0xff))
		f.Add(accept, "application/json;q=0.2", byte(3))
	}
	all := []string{"application/json", "application/xml", "application/json;v=2", "application/vnd.acme.y+json", "application/vnd.acme.y+xml"}
	f.Fuzz(func(t *testing.T, first, second string, which byte) {
		var types []string
		for i, typ := range all {
			if which&(1<<i) != 0 {
				types = append(types, typ)
			}
		}
		if types == nil {
			types = all
		}
		r := get("/")
		r.Header["Accept"] = []string{first, second}
		env := newEnvelope(t, envelope.Config{Types: types, Vendor: "application/vnd.acme."})

		g := record(env.Wrap(handler(func(w http.ResponseWriter, r *http.Request) { envelope.Write(w, r, 200, 1) })), r)
		got := g.header.Get("Content-Type")
		if g.status != 406 && (g.status != 200 || !slices.Contains(types, got)) {
			t.Errorf("%v", g)
		}
		if text := first + "," + second; !strings.ContainsAny(text, `"\`) {
			if want := slowChoice(text, types); want == "" && g.status != 406 || want != "" && (g.status != 200 || got != want) {
				t.Errorf("%d %q, want %q", g.status, got, want)
			}
		}

		g = record(env.Wrap(failing(&keystile.Error{Code: "x", Status: 400})), r)
		got = g.header.Get("Content-Type")
		if g.status != 400 || !slices.Contains(types, got) && !vendorType.MatchString(got) || strings.HasSuffix(strings.ToLower(got), "xml") != strings.HasPrefix(g.body, "<?xml") {
			t.Errorf("an error: %v", g)
		}
	})
}

const tokenPattern = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"

var (
	vendorType   = regexp.MustCompile(`^(?i:application/vnd\.acme\.)` + tokenPattern + `$`)
	token        = regexp.MustCompile("^" + tokenPattern + "$")
	rangePattern = regexp.MustCompile(`^(` + tokenPattern + `)/(` + tokenPattern + `)$`)
	weight       = regexp.MustCompile(`^(0?\.[0-9]+|0\.?|1\.?0*)$`)
	digits       = regexp.MustCompile(`^1(\.0{0,3}[0-9]*)?$`)
)

// slowChoice returns the type to answer in, or "" for none.
func slowChoice(accept string, types []string) string {
	type wish struct {
		typ, sub string
		params   [][2]string
		quality  float64
	}
	var wishes []wish
elements:
	for _, element := range strings.Split(accept, ",") {
		var parts []string
		for i, part := range strings.Split(strings.Trim(element, " \t"), ";") {
			if part = strings.Trim(part, " \t"); part != "" || i == 0 {
				parts = append(parts, part)
			}
		}
		name := parts[0]
		if name == "*" {
			name = "*/*"
		}
		m := rangePattern.FindStringSubmatch(name)
		if m == nil || m[1] == "*" && m[2] != "*" {
			continue
		}
		w := wish{strings.ToLower(m[1]), strings.ToLower(m[2]), nil, 1}
		for _, part := range parts[1:] {
			name, value, _ := strings.Cut(part, "=")
			name, value = strings.Trim(name, " \t"), strings.Trim(value, " \t")
			if token.MatchString(name) {
				name = strings.ToLower(name)
			}
			if name == "q" {
				if !weight.MatchString(value) && !digits.MatchString(value) {
					continue elements
				}
				whole, fraction, _ := strings.Cut(value, ".")
				w.quality, _ = strconv.ParseFloat("0"+whole+"."+(fraction + "000")[:3], 64)
				if w.quality > 1 {
					continue elements
				}
				break
			}
			if !token.MatchString(name) {
				continue elements
			}
			if name != "charset" || !strings.EqualFold(value, "utf-8") {
				w.params = append(w.params, [2]string{name, value})
			}
		}
		if wishes = append(wishes, w); len(wishes) == 64 {
			break
		}
	}
	if len(wishes) == 0 {
		return types[0]
	}
	best, most := "", 0.0
	for _, offer := range types {
		name, param, _ := strings.Cut(offer, ";")
		typ, sub, _ := strings.Cut(name, "/")
		specific, quality := -1, 0.0
		for _, w := range wishes {
			at := 0
			switch {
			case w.typ == typ && w.sub == sub:
				at = 2
			case w.typ == typ && w.sub == "*":
				at = 1
			case w.typ != "*":
				continue
			}
			has := true
			for _, p := range w.params {
				has = has && strings.EqualFold(p[0]+"="+p[1], param)
			}
			if at += len(w.params); has && (at > specific || at == specific && w.quality > quality) {
				specific, quality = at, w.quality
			}
		}
		if quality > most {
			best, most = offer, quality
		}
	}
	return best
}
