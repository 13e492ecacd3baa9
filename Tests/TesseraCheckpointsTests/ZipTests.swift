import Fixtures
import TesseraCheckpoints
import TesseraCore
import Testing

private func open(_ name: String) throws -> HDF5Checkpoint {
  try HDF5Checkpoint(path: Fixtures.path("weights/archives/\(name).keras"))
}

@Suite struct ZipTests {
  @Test(arguments: ["deflated", "zip64"]) func `archives of every kind hold the same tensors`(
    _ name: String
  ) throws {
    let plain = try HDF5Checkpoint(path: Fixtures.path("weights/keras/bfloat16.keras"))
    let other = try open(name)
    #expect(other.format == "keras")
    #expect(other.tensors == plain.tensors)
    for tensor in plain.tensors {
      #expect(try other.bytes(of: tensor) == plain.bytes(of: tensor))
    }
    #expect(other.attributes["keras_version"] == plain.attributes["keras_version"])
    #expect(plain.attributes["keras_version"] == "3.15.1")
  }

  @Test(arguments: [
    ("traversal", "../../outside: its name leaves the archive"),
    ("twice", "config.json: the name occurs twice"),
    ("npz", "weights_format='h5'"),
    ("lzma", "compressed by method 14"),
    ("checksum", "size or checksum"),
    ("bomb", "a zip bomb"),
    ("longer", "more than the declared 1000 bytes"),
    ("cut", "no zip directory"),
  ])
  func `a hostile or damaged archive is refused by name`(_ name: String, _ words: String) throws {
    let error = #expect(throws: TesseraError.self) { try open(name) }
    let line = error?.description ?? ""
    #expect(line.contains("\(name).keras"))
    #expect(line.contains(words), "\(line)")
    #expect(error?.kind == .malformedInput)
  }
}
