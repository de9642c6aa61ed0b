// Package echoadapter puts the middlewares of keystile, or any of net/http,
// around echo v4 routes.
//
//	e := echo.New()
//	e.Use(echoadapter.Wrap(keystile.Chain(guard.Wrap, limits.Wrap)))
//	e.GET("/contacts", contacts, echoadapter.Wrap(requireContacts))
//
// # Rules of coexistence
//
//   - Use it with e.Use, which runs behind the router, and not with e.Pre, where
//     no route is known yet.
//   - keystile.Route is echo's pattern spelled as net/http spells it: /x/:id is
//     /x/{id}, /x/* is /x/{path...}. Path values are those of echo.
//   - OPTIONS of a path that has no such route is 405, as with net/http; echo by
//     itself answers 204.
//   - http.TimeoutHandler goes around the engine. Within Wrap it ends no sooner
//     than its handler, since echo uses a context again for other requests.
//   - echo takes an informational status (103) that a handler writes for the
//     answer; that is its own habit, with this package and without.
//   - A handler may return a *keystile.Error; it is answered by RespondError.
//   - middleware.Recover and loggers go outside, as the first of Use. They see
//     the status of the answer and no error: it has been answered inside.
//   - Neither c.RealIP nor X-Forwarded-For is read. Behind a proxy wrap
//     keystile.ClientIP first.
//
// # A trap
//
// echo.WrapMiddleware passes an error on to echo, which answers it when every
// middleware has returned: outside of the envelope, and after the slot of a
// limiter has been freed. Wrap answers it inside.
package echoadapter
