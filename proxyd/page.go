package proxyd

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/damrey/damrey/proxyd/web"
)

// whatIsWhere is for a person who asks for / with a program such as curl.
const whatIsWhere = `Damrey's proxy answers here.

%[1]s/              the page, in a browser
%[1]s/v1/network    the fabric as it is now, in JSON
%[1]s/openapi.json  all that can be asked
`

// wantsJSON says whether who asks is a program that expects an answer of the REST interface.
func wantsJSON(r *http.Request) bool {
	for accept := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		kind, _, _ := strings.Cut(accept, ";")
		if kind = strings.ToLower(strings.TrimSpace(kind)); kind == "application/json" || strings.HasSuffix(kind, "+json") {
			return true
		}
	}
	return false
}

// routePage puts the page at / for browsers. A program that asks for / is told what is where.
func routePage(mux *http.ServeMux) error {
	page, err := web.New()
	if err != nil {
		return err
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if web.Wanted(r) {
			page.ServeDocument(w, r)
			return
		}
		w.Header().Add("Vary", "Accept")
		if wantsJSON(r) {
			nothingHere(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = fmt.Fprintf(w, whatIsWhere, "http://"+askedAddress(r)) // the caller has gone; there is nobody to tell
	})
	mux.HandleFunc("GET "+web.Path, func(w http.ResponseWriter, r *http.Request) {
		if !page.ServeFile(w, r) {
			nothingHere(w, r)
		}
	})
	return nil
}
