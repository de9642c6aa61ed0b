package basicauth_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/basicauth"
)

// The files of testdata/htpasswd were written by Apache's own tool; expected.json
// says how each is to be treated. Where it leaves a choice, the choice here is to
// refuse.
func TestTheCorpusOfApachesHtpasswd(t *testing.T) {
	var corpus struct {
		User, Password string
		WrongPassword  string            `json:"wrong_password"`
		Files          map[string]string `json:"files"`
	}
	text, err := os.ReadFile("testdata/htpasswd/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &corpus); err != nil {
		t.Fatal(err)
	}
	rows := []struct {
		file    string
		expects string // how expected.json begins to say it
		warning string // in the log; "": none
		refusal string // of the file; "": it is accepted
	}{
		{"bcrypt12.htpasswd", "accept", "", ""},
		{"bcrypt5.htpasswd", "accept-but-warn", "bcrypt 5", ""},
		{"bcryptdefault.htpasswd", "accept-but-warn", "bcrypt 5", ""},
		{"long73.htpasswd", "password is 'p'*72+'Z'", "bcrypt 5", ""},
		{"bcrypt17.htpasswd", "refuse at load: cost above ceiling", "", "bcrypt cost 17"},
		{"sha512.htpasswd", "accept or refuse", "", "sha512-crypt"},
		{"sha512_r100000.htpasswd", "accept or refuse", "", "sha512-crypt"},
		{"sha256.htpasswd", "same", "", "sha256-crypt"},
		{"sha256_r1000.htpasswd", "same", "", "sha256-crypt"},
		{"apr1.htpasswd", "refuse by name (MD5)", "", "apr1 (MD5)"},
		{"sha1.htpasswd", "refuse by name ({SHA} unsalted)", "", "{SHA}"},
		{"crypt.htpasswd", "refuse by name (DES", "", "crypt (DES"},
		{"plain.htpasswd", "refuse by name (plaintext)", "", "plaintext"},
	}
	if len(rows) != len(corpus.Files) {
		t.Errorf("%d rows for %d files", len(rows), len(corpus.Files))
	}
	for _, tt := range rows {
		t.Run(tt.file, func(t *testing.T) {
			if got := corpus.Files[tt.file]; !strings.HasPrefix(got, tt.expects) {
				t.Fatalf("expected.json says %q, this row %q", got, tt.expects)
			}
			path := filepath.Join("testdata", "htpasswd", tt.file)
			var log logBuffer
			users, err := basicauth.Htpasswd(path, basicauth.HtpasswdConfig{Logger: log.logger()})
			line, readErr := os.ReadFile(path)
			if readErr != nil {
				t.Fatal(readErr)
			}
			_, hash, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
			if tt.refusal != "" {
				var c *keystile.ConfigError
				if !errors.As(err, &c) {
					t.Fatalf("not refused: %v", err)
				}
				if want := path + ":1"; c.Field != want || !strings.Contains(err.Error(), tt.refusal) {
					t.Errorf("%v does not name %s and %q", err, want, tt.refusal)
				}
				if strings.Contains(err.Error()+log.String(), hash) || strings.Contains(err.Error(), hash[len(hash)/2:]) {
					t.Errorf("%v\n%v\nshows the hash", err, log.String())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if warned := strings.Contains(log.String(), "level=WARN"); warned != (tt.warning != "") || !strings.Contains(log.String(), tt.warning) {
				t.Errorf("log %q, want a warning about %q", log.String(), tt.warning)
			}
			if strings.Contains(log.String(), hash) {
				t.Errorf("log %q shows the hash", log.String())
			}
			basic := newBasic(t, basicauth.Config{Users: users, Throttles: unthrottled})
			if tt.file == "long73.htpasswd" {
				for _, n := range []int{73, 72, 200} {
					want(t, basic, as(corpus.User, strings.Repeat("p", n)), 401)
				}
				want(t, basic, as(corpus.User, strings.Repeat("p", 72)+"Z"), 401)
				return
			}
			want(t, basic, as(corpus.User, corpus.Password), 200)
			if tt.warning != "" || !underRace { // cheap enough to be tried again
				want(t, basic, as(corpus.User, corpus.WrongPassword), 401)
				want(t, basic, as("nobody", corpus.Password), 401)
			}
		})
	}
}
