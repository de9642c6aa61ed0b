// Package ginadapter puts the middlewares of keystile, or any of net/http,
// around gin routes.
//
//	router := gin.New()
//	router.HandleMethodNotAllowed = true // 405, not 404, where the path is known
//	router.RedirectTrailingSlash = false // a redirect would come before the Guard
//	router.Use(ginadapter.Wrap(keystile.Chain(guard.Wrap, limits.Wrap)))
//	router.GET("/contacts", ginadapter.Wrap(requireContacts), func(c *gin.Context) {
//		p, _ := ginadapter.Principal(c)
//		c.JSON(200, gin.H{"account": p.Account})
//	})
//
// # Rules of coexistence
//
//   - Use it on the engine, router.Use, and not on a group alone: gin runs the
//     middlewares of a group only for routes that it knows, so that a group's
//     guard does not stand before a 404.
//   - keystile.Route is gin's pattern spelled as net/http spells it: /x/:id is
//     /x/{id}, /x/*path is /x/{path...}. Path values are those of gin.
//   - Gin redirects /x/ to /x before any handler runs, unless
//     RedirectTrailingSlash is off (RedirectFixedPath is, by default): so a
//     stranger without a credential learns which routes exist.
//   - Paths are matched as gin does: as decoded, so that %2F is a slash, unless
//     UseRawPath is set.
//   - http.TimeoutHandler goes around the engine. Within Wrap it ends no sooner
//     than its handler, since gin uses a context again for other requests.
//   - gin.Recovery and loggers go outside, as the first of Use.
//   - Neither c.ClientIP nor X-Forwarded-For is read. Behind a proxy wrap
//     keystile.ClientIP first.
//
// # A trap
//
// A net/http middleware that is called from a gin handler without this package
// answers 401, and gin runs the next handler all the same. Only c.Abort stops
// it, which Wrap calls where the middleware did not pass the request on.
package ginadapter
