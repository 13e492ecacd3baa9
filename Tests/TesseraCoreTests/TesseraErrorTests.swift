import Foundation
import TesseraCore
import Testing

/// The one error type: what its line says, and what callers decide by.
@Suite struct TesseraErrorTests {
  @Test func `the line names what is known, in order`() {
    #expect(TesseraError.malformed("is cut").description == "is cut")
    #expect(
      TesseraError.mismatch("is cut", file: "a.h5", place: "w").description == "a.h5: w: is cut"
    )
    #expect(TesseraError.limit("too large", place: "w").in("a").description == "a: w: too large")
  }

  @Test func `a file or place that is known stays`() {
    let error = TesseraError.malformed("is cut", file: "inner", place: "w")
    #expect(error.in("outer").file == "inner" && error.at("x").place == "w")
    #expect(TesseraError.malformed("is cut").at("x").place == "x")
  }

  @Test func `a refusal of the system has its words, its code and exit code 6`() {
    let error = TesseraError.system("open", "x", ENOENT)
    #expect(error.description == "x: could not open: No such file or directory")
    #expect(error.kind.rawValue == 6 && error.code == ENOENT && error.isAboutPath)
    let full = TesseraError.system("write", "x", ENOSPC)
    #expect(full.isMachineFault && !full.isAboutPath)
    #expect(TesseraError.malformed("is cut").code == 0)
  }

  @Test func `names from files stay on one line and steer no terminal`() {
    let line = TesseraError.mismatch("bad", file: "a\nb\u{1B}[2J", place: "c\u{2028}d").description
    #expect(!line.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x2028 })
  }
}
