package ginadapter_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gin-gonic/gin"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/adapters/ginadapter"
)

func exampleGuard() *keystile.Guard {
	guard, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: byName{}, Realm: "example"})
	if err != nil {
		panic(err)
	}
	return guard
}

func Example() {
	router := gin.New()
	router.HandleMethodNotAllowed = true
	router.RedirectTrailingSlash = false
	router.Use(ginadapter.Wrap(exampleGuard().Wrap))
	router.GET("/hello/:name", func(c *gin.Context) {
		p, _ := ginadapter.Principal(c)
		c.String(http.StatusOK, "%s greets %s on %s", p.Subject, c.Param("name"), keystile.Route(c.Request))
	})
	for _, name := range []string{"ada", ""} {
		resp := do(router, "GET", "/hello/grace", name)
		if name == "" {
			fmt.Println(resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
			continue
		}
		fmt.Println(resp.StatusCode, body(resp))
	}
	// Output:
	// 200 ada greets grace on GET /hello/{name}
	// 401 Test realm="example"
}

// Without the adapter nothing stops gin from running the next handler.
func ExampleWrap_incorrect() {
	guard := exampleGuard()
	router := gin.New()
	router.Use(func(c *gin.Context) {
		guard.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(c.Writer, c.Request)
	})
	router.DELETE("/everything", func(*gin.Context) { fmt.Println("deleted everything, for nobody") })

	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest("DELETE", "/everything", nil))
	fmt.Println(w.Code)
	// Output:
	// deleted everything, for nobody
	// 401
}
