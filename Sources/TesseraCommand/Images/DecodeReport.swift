import TesseraCore
import TesseraDatasets

/// What `decode` says: with `--json` one line per picture as it is done, so memory stays bounded.
struct DecodeReport {
  let isPrinting: Bool
  private(set) var decoded = 0
  private var compared = 0
  private var unavailable = 0
  private var sum = 0.0

  init(isPrinting: Bool) throws {
    self.isPrinting = isPrinting
    if isPrinting { try StandardOutput.write("{\"images\": [") }
  }

  /// One element of `images`; `psnr` is null where there is nothing to compare, or no difference.
  private struct Line: Encodable {
    let key: String
    let psnr: Double?
    let identical: Bool
  }

  /// Counts a picture.
  ///
  /// - Returns: A line for the reader, where its original cannot be compared.
  mutating func add(_ picture: DatasetDecoding.Picture) throws -> String? {
    var warning: String?
    var decibels: Double?
    switch picture.comparison {
    case .none: break
    case .decibels(let value):
      decibels = value
      compared += 1
      // Equal pictures have no finite ratio; 8 bits resolve nothing above 100 dB.
      sum += min(value, 100)
    case .unavailable(let reason):
      unavailable += 1
      warning = "not compared: \(reason)"
    }
    if isPrinting {
      let isIdentical = decibels == .infinity
      let line = Line(
        key: picture.key,
        psnr: isIdentical ? nil : decibels,
        identical: isIdentical
      )
      let text = String(decoding: try CanonicalJSON.line(line).dropLast(), as: UTF8.self)
      try StandardOutput.write(decoded == 0 ? "\n  \(text)" : ",\n  \(text)")
    }
    decoded += 1
    return warning
  }

  /// The mean over all compared pictures, in decibels.
  private var mean: Double? { compared > 0 ? sum / Double(compared) : nil }

  /// Ends the JSON.
  func finish() throws {
    guard isPrinting else { return }
    let psnr = mean.map { "\($0)" } ?? "null"
    try StandardOutput.print(
      "\n], \"decoded\": \(decoded), \"compared\": \(compared), "
        + "\"unavailable\": \(unavailable), \"psnr\": \(psnr)}"
    )
  }

  var text: String {
    var text = "\(decoded) pictures"
    if let mean { text += ", PSNR \(mean.rounded(places: 2)) dB over \(compared)" }
    if unavailable > 0 { text += ", \(unavailable) without their original" }
    return text
  }
}
