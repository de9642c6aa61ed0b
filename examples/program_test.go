package examples_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// binaries holds the programs that were built, for all tests of this run.
var binaries struct {
	sync.Mutex
	dir   string
	built map[string]string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if binaries.dir != "" {
		_ = os.RemoveAll(binaries.dir)
	}
	os.Exit(code)
}

func build(t *testing.T, name string) string {
	t.Helper()
	binaries.Lock()
	defer binaries.Unlock()
	if path, ok := binaries.built[name]; ok {
		return path
	}
	if binaries.dir == "" {
		dir, err := os.MkdirTemp("", "keystile-examples")
		if err != nil {
			t.Fatal(err)
		}
		binaries.dir, binaries.built = dir, map[string]string{}
	}
	path := filepath.Join(binaries.dir, name)
	if out, err := exec.Command("go", "build", "-o", path, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	binaries.built[name] = path
	return path
}

// program is a running example.
type program struct {
	t      *testing.T
	url    string
	demo   map[string][2]string // name to header field and value
	output strings.Builder
}

// start builds the program, runs it on a free port, and ends it with the test.
func start(t *testing.T, name string, end os.Signal) *program {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs a program")
	}
	cmd := exec.Command(build(t, name), "-addr", "127.0.0.1:0")
	cmd.Stderr = io.Discard
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, demo: map[string][2]string{}}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(end)
		timer := time.AfterFunc(15*time.Second, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("after %v: %v, want exit status 0", end, err)
		}
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		p.output.WriteString(lines.Text() + "\n")
		if name, header, ok := strings.Cut(lines.Text(), "\t"); ok {
			field, value, _ := strings.Cut(header, ": ")
			p.demo[name] = [2]string{field, value}
		}
		if url, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			p.url = url
			return p
		}
	}
	t.Fatalf("the program never got ready:\n%s", p.output.String())
	return nil
}

// do sends a request with a demo credential; "" is none.
func (p *program) do(method, path, credential, body string) *http.Response {
	p.t.Helper()
	fields := http.Header{}
	if c, ok := p.demo[credential]; ok {
		fields.Set(c[0], c[1])
	} else if credential != "" {
		p.t.Fatalf("no demo credential %q in\n%s", credential, p.output.String())
	}
	return p.send(method, path, fields, body)
}

func (p *program) send(method, path string, fields http.Header, body string) *http.Response {
	p.t.Helper()
	r, err := http.NewRequest(method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header = fields
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func decode[T any](t *testing.T, resp *http.Response) T {
	t.Helper()
	var v T
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// slowly sends a request that takes its time, in the background, again where it
// met one of the test's own in the only slot. sent is closed when the first has
// been sent; the channel yields the status, or the error of the client.
func (p *program) slowly(ctx context.Context, path, credential string) (sent <-chan struct{}, done <-chan slowAnswer) {
	first, answers := make(chan struct{}), make(chan slowAnswer, 1)
	var once sync.Once
	trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { once.Do(func() { close(first) }) }}
	go func() {
		for {
			r, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodGet, p.url+path, nil)
			if err != nil {
				answers <- slowAnswer{err: err}
				return
			}
			r.Header.Set(p.demo[credential][0], p.demo[credential][1])
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				answers <- slowAnswer{err: err}
				return
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusTooManyRequests {
				answers <- slowAnswer{status: resp.StatusCode}
				return
			}
		}
	}()
	return first, answers
}

type slowAnswer struct {
	status int
	err    error
}
