import TesseraCore
import Testing

@Suite struct NPYFileTests {
  /// `numpy.save` of `numpy.arange(6, dtype="<f4").reshape(2, 3)`, numpy 2.4.6.
  static let saved: [UInt8] =
    Array("\u{93}NUMPY".unicodeScalars.map { UInt8($0.value) }) + [1, 0, 118, 0]
    + Array("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }".utf8)
    + [UInt8](repeating: 0x20, count: 58) + [0x0A]
    + [
      0, 0, 0, 0, 0, 0, 0x80, 0x3F, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40, 0, 0, 0x80, 0x40, 0, 0, 0xA0,
      0x40,
    ]

  /// A version 1.0 file with this dictionary and these elements.
  func file(_ dictionary: String, data: [UInt8] = [], major: UInt8 = 1) -> [UInt8] {
    let text = Array(dictionary.utf8)
    let length = [UInt8(text.count & 0xFF), UInt8(text.count >> 8)] + (major > 1 ? [0, 0] : [])
    return Array(NPYFileTests.saved[..<6]) + [major, 0] + length + text + data
  }

  @Test func `numpy's own bytes are read and written`() throws {
    let tensor = try NPYFile.decode(NPYFileTests.saved, from: "a.npy")
    #expect(tensor.shape == [2, 3])
    #expect(tensor.elements(as: Float.self) == [0, 1, 2, 3, 4, 5])
    #expect(try NPYFile.encode(tensor) == NPYFileTests.saved)
  }

  @Test(arguments: [UInt8(1), 2, 3]) func `every version is read`(major: UInt8) throws {
    let bytes = file(
      "{'shape': (2,), \"fortran_order\": False, 'descr': '>u2'}",
      data: [1, 2, 3, 4],
      major: major
    )
    let tensor = try NPYFile.decode(bytes, from: "a.npy")
    #expect(tensor.elements(as: UInt16.self) == [0x0102, 0x0304])
  }

  @Test func `column-major files come out row-major`() throws {
    let bytes = file(
      "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }",
      data: [0, 3, 1, 4, 2, 5]
    )
    #expect(try NPYFile.decode(bytes, from: "a.npy").bytes == [0, 1, 2, 3, 4, 5])
  }

  @Test func `a column-major array without elements may have any other extents`() throws {
    let bytes = file(
      "{'descr': '<f8', 'fortran_order': True, 'shape': (\(Int.max), \(Int.max), 0), }"
    )
    #expect(try NPYFile.decode(bytes, from: "a.npy").bytes.isEmpty)
  }

  @Test func `complex parts are swapped one by one`() throws {
    let bytes = file(
      "{'descr': '>c8', 'fortran_order': False, 'shape': (), }",
      data: [0, 1, 2, 3, 4, 5, 6, 7]
    )
    #expect(try NPYFile.decode(bytes, from: "a.npy").bytes == [3, 2, 1, 0, 7, 6, 5, 4])
  }

  @Test(arguments: [
    ("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "descr", "pickled"),
    ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "descr", "structured"),
    ("{'descr': '<U2', 'fortran_order': False, 'shape': (1,), }", "descr", "strings"),
    ("{'descr': '<V2', 'fortran_order': False, 'shape': (1,), }", "descr", "bfloat16"),
    ("{'descr': '<f16', 'fortran_order': False, 'shape': (1,), }", "descr", "none of"),
    ("{'descr': '|f4', 'fortran_order': False, 'shape': (1,), }", "descr", "none of"),
    ("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }", "fortran_order", "neither"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (1), }", "shape", "not a tuple"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "shape", "whole number"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (1 1), }", "shape", "')'"),
    (
      "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 2), }", "shape",
      "more bytes"
    ),
    (
      "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", "shape",
      "whole number"
    ),
    ("{'descr': '<f4', 'fortran_order': False, }", "header", "missing"),
    ("{'descr': '<f4', 'descr': '<f4', }", "header", "repeated"),
    ("{'descr': '<f4', 'eval': 1}", "header", "unknown"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (), } + 1", "header", "after"),
    ("{'descr", "header", "quoted"),
    ("", "header", "'{'"),
  ])
  func `a header that is not an array's is refused by name`(
    dictionary: String,
    place: String,
    reason: String
  ) {
    let error = #expect(throws: TesseraError.self) {
      try NPYFile.decode(file(dictionary), from: "a.npy")
    }
    #expect(error?.place == "npy \(place)")
    #expect(error?.cause.contains(reason) == true, "\(error?.description ?? "")")
  }

  @Test func `every cut of a file is refused`() {
    for count in 0..<NPYFileTests.saved.count {
      #expect(throws: TesseraError.self) {
        try NPYFile.decode(Array(NPYFileTests.saved.prefix(count)), from: "a.npy")
      }
    }
    #expect(throws: TesseraError.self) {
      try NPYFile.decode(NPYFileTests.saved + [0], from: "a.npy")
    }
  }

  @Test func `a header length beyond 65535 is refused before it is read`() {
    let bytes = Array(NPYFileTests.saved[..<6]) + [2, 0, 0, 0, 1, 0]
    let error = #expect(throws: TesseraError.self) { try NPYFile.decode(bytes, from: "a.npy") }
    #expect(error?.cause.hasPrefix("65536 bytes") == true)
  }

  @Test func `types without a numpy name are not written`() {
    let tensor = Tensor(elementType: .bfloat16, shape: [1], bytes: [0, 0])
    #expect(throws: TesseraError.self) { try NPYFile.encode(tensor) }
  }
}
