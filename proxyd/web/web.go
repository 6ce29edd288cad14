// Package web is the page that the proxy serves: one document, and the scripts and styles that it loads from the same
// place. They are files as a browser reads them, without a build step, and ask no other origin for anything. What they
// show comes from the REST interface.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// Path is below which the files lie that the page loads.
const Path = "/page/"

const documentName = "index.html"

//go:embed static
var embedded embed.FS

// types of the files by their ends; nothing else is served. The machine's own table of types is not asked, since a script
// of a wrong type does not run.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
	".md":   "text/plain; charset=utf-8",
	"":      "text/plain; charset=utf-8", // licences
}

// Page holds the files in memory. It is safe for concurrent use.
type Page struct {
	files  map[string]file
	policy string
}

type file struct {
	data       []byte
	kind, etag string
}

// New reads the embedded files.
func New() (*Page, error) {
	root, err := fs.Sub(embedded, "static")
	if err != nil {
		return nil, fmt.Errorf("reading the page: %w", err)
	}
	p := &Page{files: make(map[string]file)}
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		kind, ok := types[path.Ext(name)]
		if !ok {
			return fmt.Errorf("%s has no content type", name)
		}
		sum := sha256.Sum256(data)
		p.files[name] = file{data: data, kind: kind, etag: `"` + hex.EncodeToString(sum[:12]) + `"`}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the page: %w", err)
	}
	p.policy, err = policy(p.files[documentName].data)
	return p, err
}

// policy lets the document load from here alone. Its import map, the only script that stands in it, is allowed by its
// digest; no text can become markup or script.
func policy(document []byte) (string, error) {
	const begin, end = `<script type="importmap">`, `</script>`
	_, rest, found := strings.Cut(string(document), begin)
	imports, _, closed := strings.Cut(rest, end)
	if !found || !closed {
		return "", fmt.Errorf("reading the page: %s has no import map", documentName)
	}
	sum := sha256.Sum256([]byte(imports))
	return "default-src 'none'; script-src 'self' 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; style-src 'self'; " +
		"img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
		"require-trusted-types-for 'script'; trusted-types 'none'", nil
}

// Wanted says whether who asks is a browser that opens an address, and not a program that speaks to the REST interface.
func Wanted(r *http.Request) bool {
	for accept := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		if kind, _, _ := strings.Cut(accept, ";"); strings.EqualFold(strings.TrimSpace(kind), "text/html") {
			return true
		}
	}
	return false
}

// ServeDocument serves the page itself.
func (p *Page) ServeDocument(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept")
	w.Header().Set("Content-Security-Policy", p.policy)
	p.serve(w, r, p.files[documentName])
}

// ServeFile serves what lies below [Path], and says whether there is such a file.
func (p *Page) ServeFile(w http.ResponseWriter, r *http.Request) bool {
	name, below := strings.CutPrefix(r.URL.Path, Path)
	f, ok := p.files[name]
	if !below || !ok || name == documentName {
		return false
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	p.serve(w, r, f)
	return true
}

// serve lets browsers keep a file, but ask each time whether it is still the same: after an upgrade of the proxy all are
// of one version.
func (p *Page) serve(w http.ResponseWriter, r *http.Request, f file) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.etag)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.data))
}
