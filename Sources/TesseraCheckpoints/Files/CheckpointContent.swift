import TesseraCore

/// What a file's bytes say it is.
enum CheckpointContent {
  case hdf5, safetensors, json, keras, torch, numpy, gguf, flax, onnx
  /// Something that stands for a file that was not downloaded, and what to do.
  case missing(String)
  case other(String)

  init(of path: String) throws {
    let region = try FileRegion(path: path)
    let start = try region.bytes(0..<min(16, region.length))
    if let words = try FailedDownload.words(for: region) {
      self = .missing(words)
      return
    }
    func starts(with magic: [UInt8]) -> Bool { start.starts(with: magic) }
    if try CheckpointContent.isHDF5(region) {
      self = .hdf5
    } else if try ZipArchive.isArchive(region) {
      self = try CheckpointContent(of: ZipArchive(region: region))
    } else if starts(with: Array("GGUF".utf8)) {
      self = .gguf
    } else if starts(with: [0x93] + Array("NUMPY".utf8)) {
      self = .numpy
    } else if start.count > 8, start[8] == UInt8(ascii: "{"), start[4..<8].allSatisfy({ $0 == 0 }) {
      self = .safetensors
    } else if starts(with: Array("{".utf8)) {
      self = .json
    } else if path.hasSuffix(".safetensors") {
      // Damaged: the reader of the format says what is wrong.
      self = .safetensors
    } else if FlaxCheckpoint.isFlax(start) {
      self = .flax
    } else if ONNXCheckpoint.isONNX(start) {
      self = .onnx
    } else if try CheckpointContent.isTar(region) || CheckpointContent.isPickle(start, path) {
      self = .torch
    } else {
      self = .other(CheckpointContent.words(for: start))
    }
  }

  /// What a zip file is, by the names of its members.
  private init(of archive: ZipArchive) {
    if archive["model.weights.h5"] != nil || archive["config.json"] != nil {
      self = .keras
    } else if TorchArchive.pickleMember(of: archive) != nil {
      self = .torch
    } else if archive.members.contains(where: { $0.name.hasSuffix(".npy") }) {
      self = .numpy
    } else {
      self = .other("a zip file without data.pkl, model.weights.h5 or .npy members")
    }
  }

  private static func isTar(_ region: FileRegion) throws -> Bool {
    guard region.length >= 2 * TarHeader.blockSize else { return false }
    return TarHeader(parsing: try region.bytes(0..<TarHeader.blockSize)) != nil
  }

  /// A pickle names its protocol first; those of protocols 0 and 1 only their file names tell.
  private static func isPickle(_ start: [UInt8], _ path: String) -> Bool {
    if start.count > 2, start[0] == 0x80, (2...5).contains(start[1]) { return true }
    let endings = [".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin"]
    return !start.isEmpty && endings.contains { path.hasSuffix($0) }
  }

  /// The signature stands at 0, or after a user block at 512, 1024, 2048 and so on.
  private static func isHDF5(_ region: FileRegion) throws -> Bool {
    let signature: [UInt8] = [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]
    var offset = 0
    while offset + signature.count <= region.length {
      if try region.bytes(offset..<offset + signature.count) == signature { return true }
      offset = offset == 0 ? 512 : offset * 2
    }
    return false
  }

  private static func words(for start: [UInt8]) -> String {
    let known: [([UInt8], String)] = [
      ([0xFF, 0xD8, 0xFF], "a JPEG file"), ([0x89, 0x50, 0x4E, 0x47], "a PNG file"),
      ([0x1F, 0x8B], "a gzip file"), ([0x37, 0x7A, 0xBC, 0xAF], "a 7z archive"),
    ]
    if let match = known.first(where: { start.starts(with: $0.0) }) { return match.1 }
    let bytes = start.prefix(8).map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }
    return "a file that starts with the bytes \(bytes.joined(separator: " "))"
  }
}
