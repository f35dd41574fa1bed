// Prints the documentation of a Go package as Markdown: the text of its comments, and its declarations.
//
//	go run docs/site/godoc/main.go FOLDER IMPORT_PATH
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/doc"
	"go/doc/comment"
	"go/format"
	"go/parser"
	"go/token"
	"log"
	"os"
	"regexp"
	"strings"
)

type page struct {
	files   *token.FileSet
	pkg     *doc.Package
	printer *comment.Printer
}

func main() {
	log.SetFlags(0)
	folder, path := os.Args[1], os.Args[2]
	files := token.NewFileSet()
	parsed, err := parser.ParseDir(files, folder, func(file os.FileInfo) bool {
		return !strings.HasSuffix(file.Name(), "_test.go")
	}, parser.ParseComments)
	if err != nil {
		log.Fatal(err)
	}
	var sources []*ast.File
	for name, pkg := range parsed {
		if name != "main" {
			for _, source := range pkg.Files {
				sources = append(sources, source)
			}
		}
	}
	pkg, err := doc.NewFromFiles(files, sources, path)
	if err != nil {
		log.Fatal(err)
	}
	printer := pkg.Printer()
	printer.HeadingLevel = 3
	printer.HeadingID = func(*comment.Heading) string { return "" }
	printer.DocLinkURL = func(link *comment.DocLink) string {
		if link.ImportPath != "" {
			return ""
		}
		if link.Recv != "" {
			return "#" + link.Recv + "." + link.Name
		}
		return "#" + link.Name
	}
	page{files, pkg, printer}.print()
}

func (p page) print() {
	fmt.Printf("## Package %s\n\n`import %q`\n\n%s\n", p.pkg.Name, p.pkg.ImportPath, p.text(p.pkg.Doc))
	p.values("Constants", p.pkg.Consts)
	p.values("Variables", p.pkg.Vars)
	if len(p.pkg.Funcs) > 0 {
		fmt.Printf("### Functions\n\n")
	}
	for _, function := range p.pkg.Funcs {
		p.function("func "+function.Name, function.Name, function)
	}
	for _, kind := range p.pkg.Types {
		fmt.Printf("### type %s { #%s }\n\n%s%s\n", kind.Name, kind.Name, p.code(kind.Decl), p.text(kind.Doc))
		for _, values := range append(kind.Consts, kind.Vars...) {
			p.value(values)
		}
		for _, function := range kind.Funcs {
			p.function("func "+function.Name, function.Name, function)
		}
		for _, method := range kind.Methods {
			p.function(fmt.Sprintf("func (%s) %s", kind.Name, method.Name), kind.Name+"."+method.Name, method)
		}
	}
}

func (p page) values(title string, values []*doc.Value) {
	if len(values) > 0 {
		fmt.Printf("### %s\n\n", title)
	}
	for _, value := range values {
		p.value(value)
	}
}

func (p page) value(value *doc.Value) {
	for _, name := range value.Names {
		fmt.Printf("<a id=%q></a>", name)
	}
	fmt.Printf("\n\n%s%s\n", p.code(value.Decl), p.text(value.Doc))
}

func (p page) function(title, anchor string, function *doc.Func) {
	function.Decl.Body = nil
	fmt.Printf("#### %s { #%s }\n\n%s%s\n", title, anchor, p.code(function.Decl), p.text(function.Doc))
}

// indented is a block of code in the Markdown of a comment.
var indented = regexp.MustCompile(`(?m)^\t.*\n(?:\n*\t.*\n)*`)

func (p page) text(text string) string {
	markdown := string(p.printer.Markdown(p.pkg.Parser().Parse(text)))
	return indented.ReplaceAllStringFunc(markdown, func(block string) string {
		return "```go\n" + strings.ReplaceAll("\n"+block, "\n\t", "\n")[1:] + "```\n"
	})
}

// code returns the declaration with the comments of its fields. Its own comment is printed as text.
func (p page) code(declaration ast.Node) string {
	switch node := declaration.(type) {
	case *ast.GenDecl:
		node.Doc = nil
	case *ast.FuncDecl:
		node.Doc = nil
	}
	var out bytes.Buffer
	if err := format.Node(&out, p.files, declaration); err != nil {
		log.Fatal(err)
	}
	return "```go\n" + out.String() + "\n```\n\n"
}
