package bearer_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/bearer"
)

// The wrong use: a middleware that reads the claims of a token by itself, "because
// the gateway has checked it already", or to find the tenant before the Guard
// runs. Reading is not verifying: this token was signed by nobody.
//
// Take what you need from the principal, behind the Guard.
func Example_wrong() {
	forged := b64(`{"alg":"none"}`) + "." + b64(`{"org":"victim","sub":"admin","exp":4000000000}`) + "."

	parts := strings.Split(forged, ".")
	text, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct{ Org, Sub string }
	_ = json.Unmarshal(text, &claims)
	fmt.Println("read by itself:", claims.Sub, "of", claims.Org) // whatever the caller likes

	_, err := newExample(bearer.Config{}).Authenticate(request("Bearer " + forged))
	fmt.Println("judged:", err.(*keystile.Error).Code)
	// Output:
	// read by itself: admin of victim
	// judged: unauthorized
}
