package bearer

import (
	"net/http"
	"strconv"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/internal/jose"
)

// JWKS returns a handler that publishes the public halves of the keys as a JWK Set
// (RFC 7517 section 5). It has no part that is private, and no secret: a Signer
// for HS256 publishes an empty set. Mount it where nobody needs a credential:
//
//	mux.Handle("GET /.well-known/jwks.json", signer.JWKS())
func (s *Signer) JWKS() http.Handler { return http.HandlerFunc(s.publish) }

func (s *Signer) publish(w http.ResponseWriter, r *http.Request) {
	if s == nil || s.ring.Load() == nil {
		keystile.RespondError(w, r, &keystile.Error{Code: keystile.CodeInternal, Err: errZeroSigner})
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		keystile.RespondError(w, r, &keystile.Error{Code: keystile.CodeMethodNotAllowed, Header: http.Header{"Allow": {"GET, HEAD"}}})
		return
	}
	body, err := jose.Publish(s.at(s.config.Now()).set.Keys()...)
	if err != nil {
		keystile.RespondError(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/jwk-set+json") // RFC 7517 section 8.5.2
	h.Set("Cache-Control", "public, max-age="+strconv.FormatInt(int64(s.config.CacheFor/time.Second), 10))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}
