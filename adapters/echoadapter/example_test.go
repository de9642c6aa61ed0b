package echoadapter_test

import (
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/adapters/echoadapter"
)

func exampleGuard() *keystile.Guard {
	guard, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: byName{}, Realm: "example"})
	if err != nil {
		panic(err)
	}
	return guard
}

func Example() {
	e := echo.New()
	e.Use(echoadapter.Wrap(exampleGuard().Wrap))
	e.GET("/hello/:name", func(c echo.Context) error {
		p, _ := echoadapter.Principal(c)
		return c.String(http.StatusOK, fmt.Sprintf("%s greets %s on %s", p.Subject, c.Param("name"), keystile.Route(c.Request())))
	})
	for _, name := range []string{"ada", ""} {
		resp := do(e, "GET", "/hello/grace", name)
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

// Without the adapter echo answers an error when the middleware is done with its
// answer.
func ExampleWrap_incorrect() {
	for _, wrap := range []echo.MiddlewareFunc{echo.WrapMiddleware(framed), echoadapter.Wrap(framed)} {
		e := echo.New()
		e.Use(wrap)
		e.GET("/", func(echo.Context) error { return echo.NewHTTPError(http.StatusTeapot, "tea") })
		fmt.Printf("%q\n", body(do(e, "GET", "/", "")))
	}
	// Output:
	// "<>{\"message\":\"tea\"}\n"
	// "<{\"message\":\"tea\"}\n>"
}
