package proxyd

import (
	"net/http"

	"github.com/damrey/damrey/proxyd/web"
)

// routePage puts the page at / for browsers. A program that asks for / is told where the interface is described.
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
		nothingHere(w, r)
	})
	mux.HandleFunc("GET "+web.Path, func(w http.ResponseWriter, r *http.Request) {
		if !page.ServeFile(w, r) {
			nothingHere(w, r)
		}
	})
	return nil
}
