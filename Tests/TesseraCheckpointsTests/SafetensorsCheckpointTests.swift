import Fixtures
import Foundation
import TesseraCheckpoints
import TesseraCore
import Testing

@Suite struct SafetensorsCheckpointTests {
  let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  /// A file with this header text and so many bytes of data: 0, 1, 2, ….
  private static func file(_ header: String, data: Int = 0, length: UInt64? = nil) -> [UInt8] {
    let length = length ?? UInt64(header.utf8.count)
    let prefix = (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * UInt64($0))) }
    return prefix + Array(header.utf8) + (0..<data).map { UInt8(truncatingIfNeeded: $0) }
  }

  private static func entry(_ name: String, _ type: String, _ shape: String, _ offsets: String)
    -> String
  {
    #""\#(name)":{"dtype":"\#(type)","shape":\#(shape),"data_offsets":\#(offsets)}"#
  }

  private func open(_ bytes: [UInt8]) throws -> SafetensorsCheckpoint {
    try SafetensorsCheckpoint(path: folder.write(bytes, to: "x.safetensors"))
  }

  private func bytes(_ name: String, of checkpoint: SafetensorsCheckpoint) throws -> [UInt8] {
    let tensor = try #require(checkpoint.tensors.first { $0.name == name })
    let count = try #require(tensor.shape.elementCount)
    var bytes = [UInt8](
      repeating: 0,
      count: try #require(tensor.elementType.byteCount(elements: count))
    )
    try bytes.withUnsafeMutableBytes { buffer in
      try checkpoint.read(0..<count, of: tensor, into: buffer)
    }
    return bytes
  }

  // MARK: What is well-formed

  static let types: [(String, Int)] = [
    ("BOOL", 8), ("F4", 4), ("F6_E2M3", 6), ("F6_E3M2", 6), ("U8", 8), ("I8", 8), ("F8_E5M2", 8),
    ("F8_E4M3", 8), ("F8_E8M0", 8), ("F8_E4M3FNUZ", 8), ("F8_E5M2FNUZ", 8), ("I16", 16),
    ("U16", 16), ("F16", 16), ("BF16", 16), ("I32", 32), ("U32", 32), ("F32", 32), ("C64", 64),
    ("F64", 64), ("I64", 64), ("U64", 64),
  ]

  @Test(arguments: types) func `each of the 22 types is read`(type: String, bits: Int) throws {
    let size = bits / 2
    let header = "{\(Self.entry("a", type, "[2,2]", "[0,\(size)]"))}"
    let checkpoint = try open(Self.file(header, data: size))
    #expect(checkpoint.tensors.map(\.elementType.rawValue) == [type])
    #expect(checkpoint.tensors.map(\.shape) == [[2, 2]])
    #expect(try bytes("a", of: checkpoint) == (0..<size).map { UInt8($0) })
  }

  @Test func `unaligned data, scalars, empty tensors and metadata are read`() throws {
    let header =
      #"{"__metadata__":{"format":"pt"},"#
      + [
        Self.entry("odd", "U8", "[3]", "[0,3]"), Self.entry("s", "F32", "[]", "[3,7]"),
        Self.entry("none", "F32", "[0,5]", "[3,3]"),
      ].joined(separator: ",") + "} \n"
    let checkpoint = try open(Self.file(header, data: 7))
    #expect(checkpoint.attributes == ["format": "pt"])
    #expect(checkpoint.tensors.map(\.name) == ["odd", "s", "none"])
    #expect(try bytes("s", of: checkpoint) == [3, 4, 5, 6])
    #expect(try bytes("none", of: checkpoint) == [])
  }

  @Test func `names may be any string, unknown fields are passed over`() throws {
    let header =
      #"{"\u00e9\ud83d\ude00\"\\":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":[{},-1.5e3,null]}}"#
    #expect(try open(Self.file(header, data: 1)).tensors.map(\.name) == ["é😀\"\\"])
    #expect(try open(Self.file("{}")).tensors.isEmpty)
    #expect(try open(Self.file(#"{"__metadata__":null}"#)).attributes.isEmpty)
  }

  @Test func `a range of elements is read`() throws {
    let checkpoint = try open(
      Self.file("{\(Self.entry("a", "U16", "[4]", "[0,8]"))}", data: 8)
    )
    var bytes = [UInt8](repeating: 0, count: 4)
    try bytes.withUnsafeMutableBytes { buffer in
      try checkpoint.read(1..<3, of: checkpoint.tensors[0], into: buffer)
    }
    #expect(bytes == [2, 3, 4, 5])
  }

  // MARK: What is refused

  struct Hostile: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let bytes: [UInt8]
    /// A part of the message.
    let says: String

    init(_ what: String, _ bytes: [UInt8], says: String) {
      testDescription = what
      self.bytes = bytes
      self.says = says
    }

    init(_ what: String, _ header: String, data: Int = 0, says: String) {
      self.init(what, SafetensorsCheckpointTests.file(header, data: data), says: says)
    }
  }

  static let hostile: [Hostile] = [
    Hostile("an empty file", [UInt8](), says: "its download failed"),
    Hostile("a length cut off", [1, 0, 0], says: "too few"),
    Hostile("a header cut off", file("{}", length: 64), says: "cut off"),
    Hostile("a header above the limit", file("{}", length: 100_000_001), says: "allows"),
    Hostile("a length of 2^64 - 1", file("{}", length: .max), says: "allows"),
    Hostile("an empty header", "", says: "does not start with '{'"),
    Hostile("a leading space", " {}", says: "does not start with '{'"),
    Hostile("an array", "[]", says: "does not start with '{'"),
    Hostile("a trailing NUL", "{}\u{0}", says: "text after the end"),
    Hostile("a second value", "{}{}", says: "text after the end"),
    Hostile("an open object", #"{"a":"#, says: "expected"),
    Hostile("a trailing comma", #"{"__metadata__":{},}"#, says: "expected"),
    Hostile(
      "the same tensor twice",
      "{\(entry("a", "U8", "[1]", "[0,1]")),\(entry("a", "U8", "[1]", "[1,2]"))}",
      data: 2,
      says: "'a' occurs twice"
    ),
    Hostile(
      "the same name, once escaped",
      "{\(entry("a", "U8", "[1]", "[0,1]")),\(entry(#"\u0061"#, "U8", "[1]", "[1,2]"))}",
      data: 2,
      says: "'a' occurs twice"
    ),
    Hostile(
      "the same field twice",
      #"{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}"#,
      data: 1,
      says: "'dtype' occurs twice"
    ),
    Hostile(
      "the same metadata twice",
      #"{"__metadata__":{"k":"1","k":"2"}}"#,
      says: "'k' occurs twice"
    ),
    Hostile("metadata that are numbers", #"{"__metadata__":{"k":1}}"#, says: "expected '\"'"),
    Hostile("a hole at the start", "{\(entry("a", "U8", "[1]", "[1,2]"))}", data: 2, says: "hole"),
    Hostile(
      "a hole in between",
      "{\(entry("a", "U8", "[1]", "[0,1]")),\(entry("b", "U8", "[1]", "[2,3]"))}",
      data: 3,
      says: "hole"
    ),
    Hostile(
      "an overlap",
      "{\(entry("a", "U8", "[2]", "[0,2]")),\(entry("b", "U8", "[2]", "[1,3]"))}",
      data: 3,
      says: "overlaps"
    ),
    Hostile(
      "two names for the same bytes",
      "{\(entry("a", "U8", "[2]", "[0,2]")),\(entry("b", "U8", "[2]", "[0,2]"))}",
      data: 2,
      says: "overlaps"
    ),
    Hostile(
      "trailing bytes",
      "{\(entry("a", "U8", "[1]", "[0,1]"))}",
      data: 2,
      says: "belong to none"
    ),
    Hostile("data cut off", "{\(entry("a", "U8", "[4]", "[0,4]"))}", data: 3, says: "cut off"),
    Hostile(
      "offsets backwards",
      "{\(entry("a", "U8", "[0]", "[1,0]"))}",
      data: 1,
      says: "no range"
    ),
    Hostile("one offset", "{\(entry("a", "U8", "[0]", "[0]"))}", says: "no range"),
    Hostile(
      "a shape of another size",
      "{\(entry("a", "F32", "[2]", "[0,4]"))}",
      data: 4,
      says: "takes 8 bytes"
    ),
    Hostile(
      "a shape that overflows",
      "{\(entry("a", "U8", "[4294967296,4294967296]", "[0,0]"))}",
      says: "overflows"
    ),
    Hostile(
      "bytes that overflow",
      "{\(entry("a", "F64", "[2305843009213693952]", "[0,0]"))}",
      says: "no whole number"
    ),
    Hostile(
      "a number above 2^63",
      "{\(entry("a", "U8", "[9223372036854775808]", "[0,0]"))}",
      says: "above 2^63"
    ),
    Hostile("a negative extent", "{\(entry("a", "U8", "[-1]", "[0,0]"))}", says: "whole number"),
    Hostile("a fraction", "{\(entry("a", "U8", "[1.0]", "[0,1]"))}", data: 1, says: "whole number"),
    Hostile(
      "an exponent",
      "{\(entry("a", "U8", "[1e0]", "[0,1]"))}",
      data: 1,
      says: "whole number"
    ),
    Hostile(
      "an unknown type",
      "{\(entry("a", "C128", "[1]", "[0,16]"))}",
      data: 16,
      says: "unknown dtype 'C128'"
    ),
    Hostile(
      "half a byte",
      "{\(entry("a", "F4", "[3]", "[0,1]"))}",
      data: 1,
      says: "no whole number of bytes"
    ),
    Hostile("no type", #"{"a":{"shape":[0],"data_offsets":[0,0]}}"#, says: "lacks one of"),
    Hostile("a tensor that is no object", #"{"a":1}"#, says: "expected '{'"),
    Hostile("half a surrogate pair", #"{"\ud800":{}}"#, says: "surrogate"),
    Hostile("no UTF-8", [3, 0, 0, 0, 0, 0, 0, 0] + [0x7B, 0x22, 0xFF], says: "string"),
    Hostile(
      "deep nesting",
      #"{"a":{"x":"# + String(repeating: "[", count: 100_000),
      says: "nest too deeply"
    ),
  ]

  @Test(arguments: hostile) func `refused in one line`(file: Hostile) throws {
    let error = #expect(throws: TesseraError.self) { try open(file.bytes) }
    let line = try #require(error).description
    #expect(line.contains(file.says), "\(line)")
    #expect(line.hasPrefix("\(folder.path)/x.safetensors: "))
    #expect(!line.contains("\n"))
  }
}
