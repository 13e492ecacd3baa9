/// A family of state spaces that remember a signal by its coefficients in a basis.
package enum HippoMeasure: String, Sendable, CaseIterable {
  /// Scaled Legendre: the whole past in Legendre polynomials; x' = (A x + B u) / t.
  case legs
  /// Translated Legendre: the last window in Legendre polynomials.
  case legt
  /// The same window in the Legendre memory unit's scaling and signs.
  case lmu
  /// Fourier: the last window in cosines and sines, real, in the order of state-spaces/s4's `fout`.
  case fout
  /// Translated Laguerre: an exponentially fading past.
  case lagt
  /// Post 10114's complex Fourier window: the jump between the window's ends counts half of what
  /// it does in `fout`, and echoes with the ratio 1/3 a window remain.
  case fourierWindow = "fourier-window"
  /// Post 10137's complex Fourier basis on the whole past; x' = (A x + B u) / t.
  case fourierFull = "fourier-full"
  /// Diagonal, -1/2 + i pi n.
  case s4dLinear = "s4d-lin"
  /// Diagonal, -1/2 + i (N/pi) (N/(2n+1) - 1).
  case s4dInverse = "s4d-inv"
  /// Diagonal, the eigenvalues of the normal part of LegS.
  case s4dLegS = "s4d-legs"
  /// Diagonal, -(n+1).
  case s4dReal = "s4d-real"

  /// Whether the state space is given by the diagonal of A alone.
  package var isDiagonal: Bool {
    [.s4dLinear, .s4dInverse, .s4dLegS, .s4dReal].contains(self)
  }

  /// Whether the equation has the factor 1/t.
  package var isTimeVarying: Bool { self == .legs || self == .fourierFull }

  /// Whether A and B are complex matrices.
  var isComplex: Bool { self == .fourierWindow || self == .fourierFull }

  /// Whether a window's length enters.
  package var hasWindow: Bool { [.legt, .lmu, .fout, .fourierWindow].contains(self) }

  /// Why this measure has no such form, or nil where it has it.
  package func refusal(of form: HippoForm) -> String? {
    let forms = self.forms
    guard !forms.contains(form) else { return nil }
    let list = forms.map(\.rawValue).joined(separator: ", ")
    return "\(rawValue) has no form '\(form.rawValue)': \(reason(against: form)); it has \(list)"
  }

  /// The forms that are defined.
  package var forms: [HippoForm] {
    switch self {
    case .legs: [.paper, .blog, .integer]
    case .legt: [.paper, .blog, .integer, .lmu]
    case .lmu: [.paper, .integer, .lmu]
    case .fourierWindow, .fourierFull: [.paper, .blog]
    case .fout, .lagt, .s4dLinear, .s4dInverse, .s4dLegS, .s4dReal: [.paper]
    }
  }

  private func reason(against form: HippoForm) -> String {
    switch (self, form) {
    case (.fout, .blog): "the post's matrix is another system, --measure fourier-window"
    case (.lmu, .blog): "the post scales --measure legt and flips no signs"
    case (.legs, .lmu): "the Legendre memory unit is a sliding window, --measure legt or lmu"
    case (.lagt, .blog): "the posts treat no Laguerre basis"
    case (_, .integer): "no diagonal scaling makes its matrices rational"
    default: "it is given in one scaling only"
    }
  }
}

/// The scaling of the basis: similar systems, whose states differ by a factor each.
package enum HippoForm: String, Sendable, CaseIterable {
  /// Orthonormal for the measure of mass 1: B = sqrt(2n+1) for Legendre.
  case paper
  /// Orthonormal on [-1, 1]: the same A, and B = sqrt(2 (2n+1)).
  case blog
  /// Plain Legendre coefficients: whole numbers, B = 2n+1.
  case integer
  /// The integer form with every second sign flipped: B = (2n+1) (-1)^n.
  case lmu
}
