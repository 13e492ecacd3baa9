package import TesseraCore

/// An `.npz` archive as `numpy.savez` writes it: one stored `.npy` member a tensor, data aligned.
///
/// What the file says beside its arrays stands in the archive's comment as JSON, which numpy passes
/// over.
package struct NPZLayout: CheckpointLayout {
  /// The arrays, in the order given.
  package let tensors: [TensorInfo]
  /// Always: a zip file states them.
  package var needsChecksums: Bool { true }
  private let headers: [[UInt8]]
  private let archive: ZipLayout

  private static let format = "npz"

  /// Lays out tensors.
  ///
  /// - Throws: `TesseraError` where numpy has no such type, or a name is no member's.
  package init(
    tensors: [TensorInfo],
    metadata: [String: String]
  ) throws(TesseraError) {
    var names: Set<String> = []
    var headers: [[UInt8]] = []
    for tensor in tensors {
      func refusal(_ cause: String) -> TesseraError {
        TesseraError.mismatch(cause + " (\(Self.format))", place: tensor.name)
      }
      guard names.insert(tensor.name).inserted else { throw refusal("two tensors of this name") }
      if let fault = SafePath.fault(ofMember: tensor.name) { throw refusal("a name that \(fault)") }
      let header = NPYHeader(elementType: tensor.elementType, shape: tensor.shape)?.encoded
      guard let header else {
        throw refusal("numpy has no type for \(tensor.elementType.rawValue); --dtype f32 holds it")
      }
      headers.append(header)
    }
    let members = zip(tensors, headers).map { tensor, header in
      (name: tensor.name + ".npy", size: header.count + (tensor.byteCount ?? 0))
    }
    let comment = Self.comment(metadata)
    guard let layout = ZipLayout(members, comment: comment.count) else {
      throw TesseraError.mismatch("too large, or a name too long", place: Self.format)
    }
    (self.tensors, self.headers) = (tensors, headers)
    archive = layout
  }

  /// Reserves the file and writes the header of each array.
  package func begin(_ file: inout AtomicFile) throws -> [CheckpointEntry] {
    try file.reserve(byteCount: archive.fileSize)
    var entries: [CheckpointEntry] = []
    for (index, tensor) in tensors.enumerated() {
      let contents = archive.contents(of: index)
      try file.write(headers[index], at: contents.lowerBound)
      let bytes = contents.lowerBound + headers[index].count..<contents.upperBound
      entries.append(CheckpointEntry(tensor: tensor, bytes: bytes))
    }
    return entries
  }

  /// Writes the archive's own headers and its comment.
  package func finish(_ file: inout AtomicFile, with ending: CheckpointEnding) throws {
    var sums: [UInt32] = []
    for (index, tensor) in tensors.enumerated() {
      let head = Checksum.crc32(headers[index])
      sums.append(
        Checksum.combine(head, ending.checksums[index], secondLength: tensor.byteCount ?? 0)
      )
    }
    try archive.writeHeaders(to: file, checksums: sums, comment: Self.comment(ending.metadata))
  }

  /// The strings as JSON; without those that are about safetensors, or too long for a comment.
  private static func comment(_ metadata: [String: String]) -> [UInt8] {
    var kept = metadata
    kept["format"] = nil
    // The configuration of a large model may be longer than the 65535 bytes that fit.
    for (key, value) in metadata where value.utf8.count > longestText { kept[key] = nil }
    while !kept.isEmpty {
      let text = Array(JSONText.object(kept).utf8)
      if text.count < 1 << 16 { return text }
      let longest = kept.max { ($0.value.utf8.count, $1.key) < ($1.value.utf8.count, $0.key) }
      kept[longest?.key ?? ""] = nil
    }
    return []
  }

  /// The longest text, in bytes, that the archive's comment takes: it has 65535 for all.
  package static let longestText = 16384
}
