import Foundation

/// Pillow's resampling filters, by Pillow's names, and OpenCV's default one.
public enum ResamplingFilter: String, Hashable, Sendable, Codable, CaseIterable {
  case nearest
  case box
  case bilinear
  case hamming
  case bicubic
  case lanczos
  /// OpenCV's INTER_LINEAR on bytes: two neighbours in each direction however much a picture shrinks, but
  /// means of 2x2 where it shrinks by 2 (taming-transformers, Su's FSQ).
  case openCVLinear = "opencv-linear"

  /// Whether the filter is one of Pillow's.
  var isPillow: Bool { self != .openCVLinear }

  /// How far the kernel reaches from its center, in source pixels at scale 1.
  var support: Double {
    switch self {
    case .nearest, .box: 0.5
    case .bilinear, .hamming, .openCVLinear: 1
    case .bicubic: 2
    case .lanczos: 3
    }
  }

  /// The kernel's value at a distance from its center.
  ///
  /// Each expression has the order of operations that Pillow's has, so that each weight has its bits.
  func weight(at position: Double) -> Double {
    let x = abs(position)
    switch self {
    case .nearest, .box:
      return position > -0.5 && position <= 0.5 ? 1 : 0
    case .bilinear, .openCVLinear:
      return x < 1 ? 1 - x : 0
    case .hamming:
      if x == 0 { return 1 }
      if x >= 1 { return 0 }
      let angle = x * Double.pi
      // Pillow writes these two numbers as float32 literals.
      return sin(angle) / angle * (Double(Float(0.54)) + Double(Float(0.46)) * cos(angle))
    case .bicubic:
      if x < 1 { return ((-0.5 + 2) * x - (-0.5 + 3)) * x * x + 1 }
      if x < 2 { return (((x - 5) * x + 8) * x - 4) * -0.5 }
      return 0
    case .lanczos:
      return -3 <= position && position < 3 ? Self.sinc(position) * Self.sinc(position / 3) : 0
    }
  }

  private static func sinc(_ x: Double) -> Double {
    if x == 0 { return 1 }
    let angle = x * Double.pi
    return sin(angle) / angle
  }
}
